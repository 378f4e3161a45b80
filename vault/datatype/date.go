package datatype

import "time"

// maxAgeYears bounds birth dates: nobody is known to have lived to 123.
const maxAgeYears = 130

func canonicalDate(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	out, _, err := readDate(in)
	return out, err
}

// canonicalBirthDate accepts dates up to today at the place on Earth where the
// day begins first (UTC+14), and back to 130 years before today.
func canonicalBirthDate(_ *Type, in []byte, now time.Time) ([]byte, error) {
	out, day, err := readDate(in)
	if err != nil {
		return nil, err
	}
	now = now.UTC()
	if day.After(now.Add(14 * time.Hour)) {
		return nil, refuse(RuleDateOutOfRange, "must not lie in the future")
	}
	y, m, d := now.Date()
	if day.Before(time.Date(y-maxAgeYears, m, d, 0, 0, 0, 0, time.UTC)) {
		return nil, refuse(RuleDateOutOfRange, "must not lie more than 130 years back")
	}
	return out, nil
}

func readDate(in []byte) ([]byte, time.Time, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, time.Time{}, err
	}
	// time.Parse takes exactly this layout and checks the days of the month,
	// leap years included. It would take the year 0000.
	day, err := time.Parse(time.DateOnly, s)
	if err != nil || day.Year() < 1 {
		return nil, time.Time{}, refuse(RuleDateSyntax, "must be a day of the calendar written as YYYY-MM-DD")
	}
	return []byte(s), day, nil
}
