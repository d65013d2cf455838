package diagnose

// CodeInfo is what there is to say about a cause whatever the case, in one
// language.
type CodeInfo struct {
	Code    string   `json:"code"`
	Title   string   `json:"title"`   // a few words
	Meaning string   `json:"meaning"` // what it is, and what it means for one
	Tell    string   `json:"tell,omitempty"`
	Fixes   []string `json:"fixes,omitempty"` // IDs, best first
}

// Lookup returns what there is to say about a code.
func Lookup(string, Lang) (CodeInfo, bool) { return CodeInfo{}, false }
