package journal

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

const (
	maxRecord = 64 << 20         // bytes of a record
	maxReply  = 1 << 30          // bytes of a journal that a child hands over
	markWait  = 10 * time.Second // for another process that marks a record
)

// modes are those of the directories and files of a journal.
var modes = map[store.Scope]struct{ dir, file fs.FileMode }{
	store.ScopeSystem: {0o755, 0o644},
	store.ScopeUser:   {0o700, 0o600},
}

// What the operations are given and return.
type (
	beginning struct {
		Record
		plan planText
	}
	ending struct {
		Name   string `json:"name"`
		Record Record `json:"record"`
		plan   planText
	}
	mark struct {
		Set   string   `json:"set"`
		By    string   `json:"by"`
		Store store.ID `json:"store"`
		// What is marked already is marked anew if it is so by Was, or Anyway.
		Was    string `json:"was,omitempty"`
		Anyway bool   `json:"anyway,omitempty"`
	}
	// item is a file of a journal: a record, or why it is none.
	item struct {
		Name   string  `json:"name"`
		Path   string  `json:"path"`
		Record *Record `json:"record,omitempty"`
		Error  string  `json:"error,omitempty"`
		Code   string  `json:"code,omitempty"`
	}
)

// operation is something that is done to a journal's files.
type operation struct {
	in func() any // a place for what it is given
	do func(f files, in any) (any, error)
}

// operations are all that is ever done to a journal's files.
var operations = map[string]operation{
	"begin": {func() any { return new(beginning) }, func(f files, in any) (any, error) { return f.begin(*in.(*beginning)) }},
	"end": {func() any { return new(ending) }, func(f files, in any) (any, error) {
		e := in.(*ending)
		return nil, f.write(e.Name, e.Record, e.plan, false)
	}},
	"mark": {func() any { return new(mark) }, func(f files, in any) (any, error) { return f.mark(*in.(*mark)) }},
	"read": {func() any { return nil }, func(f files, _ any) (any, error) { return f.read() }},
}

// do has an operation done by whoever may open the journal, and returns its
// result. Only what goes to another process is written as JSON for that.
func do[T any](ctx context.Context, j *Journal, scope store.Scope, op string, in any) (result T, err error) {
	h := j.host
	if j.AsUser == nil || scope != store.ScopeUser || h.User.Via == "" || h.EUID != 0 {
		made, err := operations[op].do(files{h, scope}, in)
		result, _ = made.(T)
		return result, err
	}
	payload, err := json.Marshal(in)
	if err != nil {
		return result, fmt.Errorf("journal: %w", err)
	}
	reply, err := j.AsUser(ctx, op, payload)
	if err == nil {
		reply, err = opened(reply)
	}
	if err != nil || reply == nil {
		return result, err
	}
	return result, decode(reply, &result)
}

// perform does an operation that another process asks for.
func perform(h *host.Host, op string, payload []byte) ([]byte, error) {
	operation, ok := operations[op]
	if !ok {
		return nil, store.Because(store.ErrInput, "unknown operation %q of the journal", store.Printable(op))
	}
	in := operation.in()
	if in != nil {
		if err := decode(payload, in); err != nil {
			return nil, err
		}
	}
	result, err := operation.do(files{h, store.ScopeUser}, in)
	if err != nil {
		return nil, err
	}
	return json.Marshal(result)
}

// envelope carries a result, or the kind and text of an error, from one process
// to another.
type envelope struct {
	Result json.RawMessage `json:"result,omitempty"`
	Error  string          `json:"error,omitempty"`
	Code   string          `json:"code,omitempty"`
}

// Serve is the child's side of Journal.AsUser: it does an operation on the
// journal of h's user and returns what the parent is to get, which is also how
// it tells of errors. An error is only returned if nothing can be told.
func Serve(h *host.Host, op string, payload []byte) ([]byte, error) {
	var e envelope
	result, err := perform(h, op, payload)
	if err != nil {
		e.Error, e.Code = err.Error(), store.Code(err)
	} else {
		e.Result = result
	}
	return json.Marshal(e)
}

func opened(reply []byte) ([]byte, error) {
	var e envelope
	if err := decode(reply, &e); err != nil {
		return nil, err
	}
	if e.Error != "" {
		return nil, store.Because(store.Kind(e.Code), "%s", store.Printable(e.Error))
	}
	return e.Result, nil
}

// Child returns a Journal.AsUser that runs the program args, with the operation
// as one more argument, as the host's user. The program gets the payload on its
// standard input, hands it to [Serve], and prints what that returns.
func Child(h *host.Host, args ...string) func(ctx context.Context, op string, payload []byte) ([]byte, error) {
	return func(ctx context.Context, op string, payload []byte) ([]byte, error) {
		c, err := h.RightsCommand(host.Rights{User: &h.User}, append(slices.Clone(args), op))
		if err != nil {
			return nil, err
		}
		c.Stdin, c.Keep = bytes.NewReader(payload), maxReply
		out, err := h.Run(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("the journal of the user %s: %w", store.Printable(h.User.Name), err)
		}
		if out.Dropped > 0 {
			return nil, store.Because(host.ErrTooLarge, "the journal of the user %s is too large", store.Printable(h.User.Name))
		}
		return out.Stdout, nil
	}
}

func decode(data []byte, into any) error {
	if err := json.Unmarshal(data, into); err != nil {
		return store.Because(store.ErrCorrupt, "not what was expected: %w", err)
	}
	return nil
}

const alphanumeric = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// isSetID reports whether a text looks like a set ID: part of a file name, no
// more.
func isSetID(text string) bool {
	return text != "" && len(text) <= 64 && text[0] != '-' && strings.Trim(text, alphanumeric+"-") == ""
}

// check refuses what is no record of that scope's journal.
func (r *Record) check(scope store.Scope) error {
	switch {
	case r.Schema != Schema:
		return store.Because(store.ErrUnsupported, "of another version (%s)", store.Printable(r.Schema))
	case !isSetID(r.Set):
		return store.Because(store.ErrCorrupt, "%q is no set ID", store.Printable(r.Set))
	case r.Store == "" || r.State == "":
		return store.Because(store.ErrCorrupt, "not a record")
	case r.Scope != scope || modes[scope].file == 0:
		return store.Because(store.ErrCorrupt, "of a store of the scope %q, which has another journal", store.Printable(string(r.Scope)))
	}
	return nil
}

// stem is how the names of the files of a store's records in a set begin.
func stem(set string, id store.ID) string {
	sum := sha256.Sum256([]byte(id))
	return set + "-" + hex.EncodeToString(sum[:4])
}

// setOf returns the set ID in a file's name, "" if it is not named as by stem.
func setOf(name string) string {
	stem, isRecord := strings.CutSuffix(name, ".json")
	parts := strings.Split(stem, "-")
	if last := len(parts) - 1; isRecord && last > 1 && len(parts[last]) < 8 && strings.Trim(parts[last], "0123456789") == "" {
		parts = parts[:last] // the number of one of several
	}
	last := len(parts) - 1
	set := strings.Join(parts[:last], "-")
	if !isRecord || len(parts[last]) != 8 || strings.Trim(parts[last], "0123456789abcdef") != "" || !isSetID(set) {
		return ""
	}
	return set
}

// files are the files of one journal.
type files struct {
	host  *host.Host
	scope store.Scope
}

func (f files) path(name string) string {
	return path.Join(f.host.StateDir(f.scope), "journal", name)
}

// begin writes a new record and returns the name of its file. A record of the
// same change that failed is replaced: it was tried again.
func (f files) begin(b beginning) (string, error) {
	r := b.Record
	if err := r.check(f.scope); err != nil {
		return "", err
	}
	if err := f.host.MkdirAll(f.path(""), modes[f.scope].dir); err != nil {
		return "", err
	}
	for n := 1; ; n++ {
		name := stem(r.Set, r.Store) + ".json"
		if n > 1 {
			name = fmt.Sprintf("%s-%d.json", stem(r.Set, r.Store), n)
		}
		err := f.write(name, r, b.plan, true)
		if !errors.Is(err, fs.ErrExist) {
			return name, err
		}
		old, err := f.load(name)
		if err == nil && old.State == Failed && old.Code != store.Code(store.ErrPartial) && old.Store == r.Store && old.UndoOf == r.UndoOf {
			return name, f.write(name, r, b.plan, false)
		}
	}
}

// planText is a record's plan as JSON, nil where it is not known as that. It is
// the larger part of a record, and the same at the beginning and at the end.
type planText []byte

// encode returns the record as it is written.
func (r *Record) encode(plan planText) ([]byte, error) {
	var err error
	if plan == nil {
		if plan, err = json.Marshal(r.Plan); err != nil {
			return nil, err
		}
	}
	// The outer field is the one of that name that counts, and is left out.
	rest, err := json.Marshal(struct {
		*Record
		Plan *store.Plan `json:"plan,omitempty"`
	}{Record: r})
	if err != nil {
		return nil, err
	}
	rest = slices.Grow(rest, len(plan)+len(`,"plan":}`+"\n"))
	rest = append(rest[:len(rest)-1], `,"plan":`...)
	return append(append(rest, plan...), "}\n"...), nil
}

// write writes a record, durably and in one step.
func (f files) write(name string, r Record, plan planText, exclusive bool) error {
	if err := r.check(f.scope); err != nil {
		return err
	}
	if !strings.HasPrefix(name, stem(r.Set, r.Store)) || setOf(name) != r.Set {
		return store.Because(store.ErrInput, "%q is not the name of that record", store.Printable(name))
	}
	data, err := r.encode(plan)
	if err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	return f.host.WriteFile(f.path(name), data, host.WriteOptions{Mode: modes[f.scope].file, Exclusive: exclusive})
}

// mark marks what a set did in a store as undone and returns how many records
// that were.
func (f files) mark(m mark) (marked int, err error) {
	if !isSetID(m.Set) {
		return 0, store.Because(store.ErrInput, "%q is no set ID", store.Printable(m.Set))
	}
	names, err := f.names()
	if err != nil {
		return 0, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, stem(m.Set, m.Store)) })
	if len(names) == 0 {
		return 0, nil
	}
	// Two that mark the same record at once must not lose one's mark.
	unlock, err := f.host.Lock(context.Background(), f.path(".lock"), markWait, "certtrust journal")
	if err != nil {
		return 0, err
	}
	defer unlock()
	for _, name := range names {
		r, err := f.load(name)
		if err != nil {
			return marked, err
		}
		again := r.State == Undone && r.UndoneBy != r.Set && (m.Anyway || m.Was != "" && r.UndoneBy == m.Was)
		// What takes back its own set is not what is taken back.
		if r.Store != m.Store || r.UndoOf == m.Set || r.State != Done && r.State != Interrupted && !again {
			continue
		}
		r.State, r.UndoneBy = Undone, m.By
		if err := f.write(name, *r, nil, false); err != nil {
			return marked, err
		}
		marked++
	}
	return marked, nil
}

// names returns the names of the files that are, or should be, records.
func (f files) names() ([]string, error) {
	entries, err := f.host.ReadDir(f.path(""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".json") && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// read returns all files, in the order of their names.
func (f files) read() ([]item, error) {
	names, err := f.names()
	if err != nil {
		return nil, err
	}
	items := []item{}
	for _, name := range names {
		i := item{Name: name, Path: f.path(name)}
		r, err := f.load(name)
		var known *store.Error
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue // gone meanwhile
		case errors.As(err, &known):
			i.Error, i.Code = fmt.Sprint(known.Err), store.Code(err) // the path is told anyway
		case err != nil:
			i.Error, i.Code = err.Error(), store.Code(err)
		default:
			i.Record = r
		}
		items = append(items, i)
	}
	return items, nil
}

// load reads a record, and finds out whether it was interrupted.
func (f files) load(name string) (*Record, error) {
	r, err := f.parse(name)
	if err != nil || r.State != Begun || host.Running(r.Writer) {
		return r, err
	}
	// It may have been finished between reading and asking.
	r, err = f.parse(name)
	if err == nil && r.State == Begun {
		r.State = Interrupted
	}
	return r, err
}

func (f files) parse(name string) (*Record, error) {
	data, err := f.host.ReadFile(f.path(name), maxRecord)
	if err != nil {
		return nil, err
	}
	var r Record
	if err := decode(data, &r); err != nil {
		return nil, err
	}
	if err := r.check(f.scope); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(name, stem(r.Set, r.Store)) {
		return nil, store.Because(store.ErrCorrupt, "not the record that its name says")
	}
	return &r, nil
}
