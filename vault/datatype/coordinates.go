package datatype

import (
	"strconv"
	"strings"
	"time"
)

// coordinateDigits after the point are a centimetre; receivers that write
// more write noise, which is rounded away.
const coordinateDigits = 7

func canonicalCoordinates(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	lat, lon, _ := strings.Cut(s, ",")
	out := make([]byte, 0, len("-12.1234567,-123.1234567"))
	if out, err = appendDegrees(out, lat, 90); err != nil {
		return nil, err
	}
	return appendDegrees(append(out, ','), lon, 180)
}

func appendDegrees(dst []byte, s string, limit float64) ([]byte, error) {
	s = strings.TrimSpace(s)
	if s == "" {
		return nil, errCoordinates()
	}
	whole, fraction, point := strings.Cut(unsigned(s), ".")
	if !allDigits(whole) || point && !allDigits(fraction) {
		return nil, errCoordinates()
	}
	degrees, err := strconv.ParseFloat(s, 64)
	if err != nil || degrees < -limit || degrees > limit {
		return nil, refuse(RuleCoordinatesRange, "the latitude must lie in -90 to 90, the longitude in -180 to 180")
	}
	rounded := strconv.FormatFloat(degrees, 'f', coordinateDigits, 64)
	whole, fraction, _ = strings.Cut(unsigned(rounded), ".")
	return appendDecimal(dst, rounded[0] == '-', strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")), nil
}

func errCoordinates() error {
	return refuse(RuleCoordinatesSyntax, "must be latitude and longitude in decimal degrees with a comma between them")
}
