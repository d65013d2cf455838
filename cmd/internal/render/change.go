package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/platform/wincert"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/lint"
)

// ChangeDoc tells what a command changed, or would change.
type ChangeDoc struct {
	Schema       string              `json:"schema"`
	Set          string              `json:"set,omitempty" jsonschema:"the ID under which the journal has it, for undo"`
	DryRun       bool                `json:"dryRun" jsonschema:"nothing was done: results and plans tell what would be"`
	Changed      bool                `json:"changed" jsonschema:"anything was changed or, in a dry run, would be"`
	Certificates []ChangeCertificate `json:"certificates"`
	Stores       []ChangeStore       `json:"stores"`
	Error        *ErrorInfo          `json:"error,omitempty" jsonschema:"why the command failed; the stores' own errors are theirs"`

	Preview bool   `json:"-"` // people are asked about it next
	Where   string `json:"-"` // the flag that names the offline root that it was done in, "" for this machine
}

// ChangeCommands returns the commands whose document is a [ChangeDoc].
func ChangeCommands() []string {
	return []string{"trust", "import", "distrust", "remove", "apply", "undo", "repair", "link-system"}
}

// NewChangeDoc returns the document of a command that says what it did to the
// stores.
func NewChangeDoc(command string) ChangeDoc { return ChangeDoc{Schema: Schema(command)} }

// ChangeCertificate tells what was done with a certificate that was given.
type ChangeCertificate struct {
	SHA256   store.Fingerprint `json:"sha256"`
	Label    string            `json:"label" jsonschema:"untrusted text"`
	Kind     string            `json:"kind" jsonschema:"root, intermediate or leaf"`
	Traits   []string          `json:"traits,omitempty" jsonschema:"what else is to be known of it: name-constrained, private-key-beside, or the code of a concern such as expired or weak"`
	From     string            `json:"from,omitempty" jsonschema:"the file or address that it was given in, and the place in that; untrusted text"`
	Action   string            `json:"action" jsonschema:"trusted, stored, distrusted, removed, refused, …"`
	Reason   string            `json:"reason,omitempty"`
	Concerns []store.Concern   `json:"concerns"`
	Lint     []lint.Finding    `json:"lint,omitempty" jsonschema:"programs that will refuse it although it is trusted"`
}

// NewChangeCertificate describes what was done with c.
func NewChangeCertificate(c *store.Cert, action, reason string, concerns []store.Concern) ChangeCertificate {
	return ChangeCertificate{SHA256: c.SHA256, Label: c.Label(), Kind: c.Kind(), Action: action, Reason: reason, Concerns: concerns}
}

// kindText is the kind with the traits.
func (c ChangeCertificate) kindText() string {
	text := c.Kind
	for _, t := range c.Traits {
		text += ", " + strings.ReplaceAll(t, "-", " ")
	}
	return text
}

// Result is how a change of one store ended.
type Result string

// The results. In a dry run they are what is to be expected.
const (
	Changed   Result = "changed"
	Unchanged Result = "unchanged"  // it was so already
	LeftOut   Result = "left-out"   // it could not be done here, and the rest was
	Refused   Result = "refused"    // the store cannot do it
	Failed    Result = "failed"     // and is as it was, unless the error says otherwise
	TakenBack Result = "taken-back" // done, and undone since another store failed
)

// resultStyles are the styles of the results for people.
var resultStyles = map[Result]term.Style{
	Changed: term.Green, LeftOut: term.Yellow, Refused: term.Red, Failed: term.Red, TakenBack: term.Yellow,
}

// ChangeStore tells what became of a store.
type ChangeStore struct {
	Store   store.ID       `json:"store"`
	Result  Result         `json:"result" jsonschema:"changed, unchanged, left-out, refused, failed or taken-back"`
	Plan    *store.Plan    `json:"plan,omitempty"`
	Receipt *store.Receipt `json:"receipt,omitempty"`
	Error   *ErrorInfo     `json:"error,omitempty"`
	Notices []string       `json:"notices,omitempty"`
}

// Text writes a line for each certificate and each store or, for a dry run,
// all the steps. What a person should know or do besides goes to Err, but for
// the document's Error, which is for programs.
func (d ChangeDoc) Text(s *term.Streams) error {
	w := textWriter{s: s}
	if len(d.Certificates) > 0 {
		w.table(d.certificates(), "")
	}
	if d.DryRun {
		for _, st := range d.Stores {
			w.blank()
			st.writeSteps(&w)
		}
	} else if len(d.Stores) > 0 {
		w.blank()
		w.table(d.results(), "")
	}
	if w.err != nil {
		return w.err
	}
	d.complain(s)
	return nil
}

// ahead tells in a dry run of the actions that would be done.
var ahead = map[string]string{
	"trusted": "to be trusted", "stored": "to be stored", "distrusted": "to be distrusted", "removed": "to be removed",
}

func (d ChangeDoc) certificates() *Table {
	t := NewTable(Column{}, Column{}, Column{Min: 12}, Column{}, Column{Open: true})
	for _, c := range d.Certificates {
		var notes []string
		if c.Reason != "" {
			notes = append(notes, c.Reason)
		}
		for _, concern := range c.Concerns {
			notes = append(notes, concernText(concern))
		}
		action := c.Action
		if later := ahead[action]; d.DryRun && later != "" {
			action = later
		}
		t.Row(Cell{Text: action}, Cell{c.SHA256.Short(), term.Dim}, Cell{Text: store.Printable(c.Label)},
			Cell{Text: c.kindText()}, Cell{strings.Join(notes, "; "), term.Yellow})
	}
	return t
}

func (d ChangeDoc) results() *Table {
	t := NewTable(Column{Min: 20}, Column{}, Column{Open: true})
	for _, st := range d.Stores {
		t.Row(Cell{Text: string(st.Store)}, Cell{strings.ReplaceAll(string(st.Result), "-", " "), resultStyles[st.Result]},
			Cell{Text: st.outcome()})
	}
	return t
}

// outcome tells what was done in a store, and what was not and why.
func (st ChangeStore) outcome() string {
	var parts []string
	if st.Receipt != nil {
		parts = append(parts, tally(st.Receipt.Done)...)
	}
	if st.Plan != nil {
		for _, r := range st.Plan.Refused {
			text := refusal(r)
			if st.Result == Refused { // said already
				text = strings.TrimPrefix(text, "refused ")
			}
			parts = include(parts, text)
		}
	}
	if st.Error != nil {
		// A store that refuses says why already.
		if reason := st.Error.reason(); !slices.ContainsFunc(parts, func(p string) bool { return strings.HasSuffix(p, reason) }) {
			parts = append(parts, reason)
		}
	}
	return strings.Join(parts, "; ")
}

func refusal(r store.Refused) string {
	subject := r.Problem
	if !r.Fingerprint.IsZero() {
		subject = r.Fingerprint.Short()
	}
	if subject == "" {
		return "refused: " + r.Reason
	}
	return "refused " + subject + ": " + r.Reason
}

// tally counts what steps do, in words: "2 certificates trusted".
func tally(steps []store.Step) []string {
	var deeds []deed
	numbers := map[deed]int{}
	for _, step := range steps {
		d := deedOf(step)
		deeds = include(deeds, d)
		numbers[d]++
	}
	var words []string
	for _, d := range deeds {
		thing, done, _ := strings.Cut(string(d), " ")
		words = append(words, count(numbers[d], thing)+" "+done)
	}
	return words
}

// deed is a thing and what was done with it, "" for what is not worth telling.
type deed string

// deeds tell of the actions that do not depend on the trust wanted.
var deeds = map[store.Action]deed{
	store.ActionRemove: "certificate removed",
	store.ActionMend:   "problem mended",
	store.ActionLink:   "link changed",
}

func deedOf(step store.Step) deed {
	switch {
	case step.Action != store.ActionAdd && step.Action != store.ActionTrust:
		return deeds[step.Action]
	case step.After == nil:
		return "certificate changed"
	case step.After.Trust.Has(store.Trusted) || step.After.Trust.Has(store.Peer):
		return "certificate trusted"
	case step.After.Trust.Has(store.Distrusted):
		return "certificate distrusted"
	case step.Action == store.ActionAdd:
		return "certificate stored"
	}
	return "certificate without trust now"
}

// writeSteps writes what would be done to a store.
func (st ChangeStore) writeSteps(w *textWriter) {
	result := strings.ReplaceAll(string(st.Result), "-", " ")
	if st.Result == Changed {
		result = "would change"
	}
	w.line(w.s.Paint(term.Bold, term.Safe(string(st.Store))), "  ", w.s.Paint(resultStyles[st.Result], result))
	if st.Error != nil && !(st.Result == Refused && st.Plan != nil) { // which says why below
		w.line("  ", term.Safe(st.Error.reason()))
	}
	if st.Plan == nil {
		return
	}
	for _, step := range st.Plan.Steps {
		head := []string{fmt.Sprintf("%-8s", step.Action)}
		if !step.Fingerprint.IsZero() {
			head = append(head, step.Fingerprint.Short())
		}
		head = append(head, store.Printable(step.Label))
		w.line("  ", strings.TrimRight(strings.Join(head, "  "), " "))
		if step.Before != nil || step.After != nil {
			w.line(detail, "trust   ", stateText(step.Before), " -> ", stateText(step.After))
		}
		for _, file := range step.Files {
			w.line(detail, "change  ", term.Safe(file))
		}
		for _, command := range step.Commands {
			if st.Store.Backend() == wincert.Backend { // whose changes are made without programs
				w.line(detail, "by hand ", term.Safe(windowsText(command)))
				continue
			}
			w.line(detail, "run     ", commandText(command))
		}
		if step.Elevated {
			w.line(detail, w.s.Paint(term.Yellow, "needs administrator rights"))
		}
	}
	for _, r := range st.Plan.Refused {
		w.line("  ", w.s.Paint(term.Red, term.Safe(refusal(r))))
	}
}

// detail indents what belongs to a step.
const detail = "            "

func stateText(s *store.State) string {
	if s == nil || !s.Present {
		return "absent"
	}
	return trustText(s.Trust)
}

// commandText writes a command so that a shell would take it as it is meant.
func commandText(args []string) string {
	words := make([]string, len(args))
	for i, arg := range args {
		words[i] = term.Safe(arg)
		if arg == "" || strings.ContainsFunc(arg, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=@,+%\\", r))
		}) {
			words[i] = "'" + strings.ReplaceAll(words[i], "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// windowsText writes a command as a prompt of Windows takes it.
func windowsText(args []string) string {
	words := slices.Clone(args)
	for i, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t\"&|<>^()%!;,=`$") {
			words[i] = `"` + strings.ReplaceAll(arg, `"`, `\"`) + `"`
		}
	}
	return strings.Join(words, " ")
}

// someIDs names the first of many stores.
func someIDs(ids []store.ID) string {
	const most = 3
	var names []string
	for _, id := range ids[:min(len(ids), most)] {
		names = append(names, string(id))
	}
	text := strings.Join(names, ", ")
	if more := len(ids) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// complain writes to Err what a person should know or do besides.
func (d ChangeDoc) complain(s *term.Streams) {
	var notices, hints []string
	of := map[string][]string{} // the stores of a hint
	hint := func(text string, st store.ID) {
		if text != "" {
			hints, of[text] = include(hints, text), include(of[text], string(st))
		}
	}
	about := map[string][]store.ID{} // the stores that a notice is about
	for _, st := range d.Stores {
		said := st.Notices
		if st.Plan != nil {
			said = include(slices.Clone(said), st.Plan.Notices...)
			for _, r := range st.Plan.Refused {
				hint(r.Hint, st.Store)
			}
		}
		if st.Receipt != nil {
			said = include(slices.Clone(said), st.Receipt.Notices...)
		}
		if st.Result == LeftOut || st.Result == TakenBack {
			said = nil // what was not done does not have to be heeded
		}
		for _, notice := range said {
			notices = include(notices, notice)
			about[notice] = append(about[notice], st.Store)
		}
		if st.Error != nil {
			hint(st.Error.Hint, st.Store)
		}
	}
	for _, notice := range notices {
		s.Noticef("%s: %s", someIDs(about[notice]), notice)
	}
	for _, text := range hints {
		// The document's own error is told with its hint when all is said.
		switch {
		case d.Error != nil && d.Error.Hint == text:
		case len(d.Stores) > 1 && len(of[text]) == 1:
			s.Hintf("%s: %s", of[text][0], text)
		default:
			s.Hintf("%s", text)
		}
	}
	switch {
	case d.Preview:
	case d.DryRun:
		s.Noticef("dry run: nothing was changed")
	case d.Set != "" && slices.ContainsFunc(d.Stores, func(st ChangeStore) bool { return st.Receipt != nil && len(st.Receipt.Undo) > 0 }):
		s.Noticef("to take it back: certtrust undo %s%s", d.Set, d.Where)
	}
}
