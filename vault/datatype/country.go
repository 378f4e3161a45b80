package datatype

import "time"

// countryCodes are the 249 officially assigned codes of ISO 3166-1 alpha-2, in
// rising order, two letters each.
const countryCodes = "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCLCMCNCOCR" +
	"CUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGUGWGYHKHMHNHRHTHU" +
	"IDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMCMDMEMFMGMHMKMLMMMNMOMPMQ" +
	"MRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPTPWPYQARERORSRURWSASBSCSDSESGSHSI" +
	"SJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUAUGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW"

func canonicalCountry(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	if len(s) == 2 {
		// Without bit 5 a lower-case letter is upper case, and nothing that is
		// no letter becomes one.
		if a, b := s[0]&^0x20, s[1]&^0x20; isCountry(a, b) {
			return []byte{a, b}, nil
		}
	}
	return nil, refuse(RuleCountryCode, "must be a country code of two letters from ISO 3166-1")
}

func isCountry(a, b byte) bool {
	for i := 0; i < len(countryCodes); i += 2 {
		if countryCodes[i] == a && countryCodes[i+1] == b {
			return true
		}
	}
	return false
}
