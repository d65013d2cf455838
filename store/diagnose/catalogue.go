package diagnose

import "slices"

// CodeInfo is what there is to say about a cause whatever the case, in one
// language.
type CodeInfo struct {
	Code    string `json:"code"`
	Title   string `json:"title"`   // a few words
	Meaning string `json:"meaning"` // what it is, and what it means for one
	// Tell says how to find out whether this is the cause.
	Tell         string            `json:"tell,omitempty"`
	Fixes        []string          `json:"fixes,omitempty"` // IDs, best first; see [FixInfo]
	ClientErrors map[string]string `json:"client_errors,omitempty"`
}

// codeRow is a row of the catalogue of causes.
type codeRow struct {
	code    string
	title   Text
	say     Text // the sentence of a case; its arguments are given where it is found
	meaning Text
	tell    Text
	fixes   []string
}

// Codes returns the catalogue of causes in a language, in the order in which
// causes are acted on.
func Codes(lang Lang) []CodeInfo {
	var out []CodeInfo
	for _, r := range catalogue() {
		out = append(out, r.info(lang))
	}
	return out
}

// Lookup returns what there is to say about a code.
func Lookup(code string, lang Lang) (CodeInfo, bool) {
	r := row(code)
	if r == nil {
		return CodeInfo{}, false
	}
	return r.info(lang), true
}

func (r *codeRow) info(lang Lang) CodeInfo {
	return CodeInfo{
		Code: r.code, Title: r.title.In(lang), Meaning: r.meaning.In(lang), Tell: r.tell.In(lang),
		Fixes: slices.Clone(r.fixes), ClientErrors: clientErrors(r.code, ""),
	}
}

// catalogue returns all rows in order.
func catalogue() []codeRow {
	return slices.Concat(netCodes, tlsCodes, firstCodes, trustCodes, certCodes, nameCodes, timeCodes, policyCodes)
}

func row(code string) *codeRow {
	for _, rows := range [][]codeRow{netCodes, tlsCodes, firstCodes, trustCodes, certCodes, nameCodes, timeCodes, policyCodes} {
		for i := range rows {
			if rows[i].code == code {
				return &rows[i]
			}
		}
	}
	return nil
}

// rank is the place of a finding in the order of action: the catalogue's, but
// what is merely possible comes behind what is known of its kind, and what is
// no error behind all errors.
func rank(f finding) int {
	place := slices.IndexFunc(catalogue(), func(r codeRow) bool { return r.code == f.code })
	if place < 0 {
		place = 500
	}
	switch f.confidence {
	case Possible:
		place += 100
	}
	switch f.severity {
	case Warning:
		place += 1000
	case Info:
		place += 2000
	}
	return place
}
