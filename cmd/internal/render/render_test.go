package render

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/pem"
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jedib0t/go-pretty/v6/text"

	"github.com/certtrust/certtrust/cmd/internal/term"
	"github.com/certtrust/certtrust/store"
)

func TestJSON(t *testing.T) {
	type inner struct {
		List  []string          `json:"list"`
		Map   map[string]string `json:"map"`
		Bytes []byte            `json:"bytes"`
		Gone  []int             `json:"gone,omitempty"`
		raw   []byte
	}
	type doc struct {
		inner2 any
		Inner  inner             `json:"inner"`
		Ptr    *inner            `json:"ptr"`
		Any    any               `json:"any"`
		Nested [][]string        `json:"nested"`
		Map    map[string]inner  `json:"map"`
		Print  store.Fingerprint `json:"print,omitzero"`
		Time   time.Time         `json:"time"`
		Far    time.Time         `json:"far,omitzero"`
		Null   *inner            `json:"null,omitempty"`
	}
	in := doc{
		inner2: 1, Inner: inner{raw: []byte{1}}, Ptr: &inner{}, Any: inner{}, Nested: [][]string{nil}, Map: map[string]inner{"x": {}},
		Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)),
		Far:  time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	var buf bytes.Buffer
	if err := JSONLine(&buf, in); err != nil {
		t.Fatal(err)
	}
	empty := `{"list":[],"map":{},"bytes":""}`
	want := `{"inner":` + empty + `,"ptr":` + empty + `,"any":` + empty + `,"nested":[[]],"map":{"x":` + empty + `},"time":"2026-01-02T02:04:05Z"}` + "\n"
	if diff := cmp.Diff(want, buf.String()); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if in.Inner.List != nil || in.Nested[0] != nil || in.Map["x"].Map != nil || in.Far.IsZero() {
		t.Error("the document was changed")
	}
	if err := JSON(&buf, nil); err != nil {
		t.Errorf("nil: %v", err)
	}
	if err := JSON(&buf, func() {}); err == nil {
		t.Error("a function was written")
	}
}

func TestJSONIsSafeAndTheSame(t *testing.T) {
	for _, in := range []string{
		"plain <b>&</b>", `C:\dir "quoted"`, "証明書", "a\nb\tc\r", "\x1b[31m", "\x7f\u0085\u009b", "\u202e\u2066\u200b\u200e\ufeff",
		"\u2028\u2029", "\U000e0041 \U0001f600", "\u00a0\u3000", "e\u0301",
	} {
		for name, write := range map[string]func(*bytes.Buffer) error{
			"JSON":     func(b *bytes.Buffer) error { return JSON(b, map[string]string{in: in}) },
			"JSONLine": func(b *bytes.Buffer) error { return JSONLine(b, map[string]string{in: in}) },
		} {
			var buf bytes.Buffer
			if err := write(&buf); err != nil {
				t.Fatal(err)
			}
			var back map[string]string
			if err := json.Unmarshal(buf.Bytes(), &back); err != nil || back[in] != in {
				t.Errorf("%s: %q came back as %q, %v", name, in, back, err)
			}
			for line := range strings.Lines(buf.String()) {
				if line = strings.TrimSuffix(line, "\n"); term.Safe(line) != line {
					t.Errorf("%s: not safe to print: %q", name, line)
				}
			}
			if strings.Contains(buf.String(), `\u003c`) {
				t.Errorf("%s: escaped for HTML: %s", name, buf.String())
			}
		}
	}
}

func TestCertificate(t *testing.T) {
	c := makeCerts(t)
	got := NewCertificate(c.leaf, now, true)
	if *got.DaysLeft != -2 || got.CA || got.SelfIssued || got.Serial != "07" || !strings.HasPrefix(got.PEM, "-----BEGIN CERTIFICATE-----\n") {
		t.Errorf("%+v", got)
	}
	for at, want := range map[time.Time]int{
		c.root.NotAfter:                          0,
		c.root.NotAfter.Add(-24 * time.Hour):     1,
		c.root.NotAfter.Add(-24*time.Hour + 1e9): 0,
		c.root.NotAfter.Add(1e9):                 -1,
		{}:                                       744729, // further off than a time.Duration goes
	} {
		if got := *NewCertificate(c.root, at, false).DaysLeft; got != want {
			t.Errorf("at %v: %d days left, want %d", at, got, want)
		}
	}
	broken := NewCertificate(store.NewCert(nil), now, false)
	if broken.DaysLeft != nil || broken.Serial != "" || broken.ParseError == "" || broken.SHA256.IsZero() {
		t.Errorf("nothing as a certificate: %+v", broken)
	}
	for n, want := range map[int64]string{0: "00", 255: "ff", 256: "0100", -1: "-01"} {
		if got := serialText(big.NewInt(n)); got != want {
			t.Errorf("serial %d: %q, want %q", n, got, want)
		}
	}
}

func TestShowSurvivesBrokenExtensions(t *testing.T) {
	c := makeCerts(t)
	for _, cert := range []*store.Cert{c.root, c.sub, c.leaf} {
		whole := NewShowCertificate(cert, nil, now, false)
		for i, ext := range cert.Extensions {
			for n := range len(ext.Value) {
				cut := *cert
				cut.Extensions = append([]store.Extension(nil), cert.Extensions...)
				cut.Extensions[i].Value = ext.Value[:n]
				got := NewShowCertificate(&cut, nil, now, false)
				if len(got.Extensions) != len(whole.Extensions) {
					t.Fatalf("extension %s, %d bytes: an extension is missing", ext.OID, n)
				}
			}
		}
	}
}

// FuzzExtensions looks for encodings that the readers of extensions do not
// survive.
func FuzzExtensions(f *testing.F) {
	c := makeCerts(f)
	for _, cert := range []*store.Cert{c.root, c.sub, c.leaf} {
		for _, ext := range cert.Extensions {
			f.Add(ext.OID, ext.Value)
		}
	}
	f.Fuzz(func(t *testing.T, oid string, value []byte) {
		cert := store.NewCert(nil)
		cert.Version, cert.Extensions = 3, []store.Extension{{OID: oid, Value: value}}
		show := NewShowCertificate(cert, nil, now, false)
		s, _, _ := term.Test("")
		for _, format := range Formats() {
			if err := Write(s, format, NewShowDoc([]ShowCertificate{show})); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestSummary(t *testing.T) {
	header, records := makeListing(t)
	want := ListSummary{Entries: 9, Certificates: 7, Trusted: 5, Distrusted: 1, Unparsed: 1, Problems: 3}
	if diff := cmp.Diff(want, NewListSummary(header.Stores, records)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if !NewListSummary(header.Stores[:2], records).Complete {
		t.Error("not complete without the store that failed")
	}
}

func TestUnknownFormats(t *testing.T) {
	s, out, _ := term.Test("")
	if _, err := NewListView("xml\x1b", s, ListOptions{}); !errors.Is(err, store.ErrInput) || strings.Contains(err.Error(), "\x1b") {
		t.Errorf("NewListView: %v", err)
	}
	if err := Write(s, "csv", VersionDoc{}); !errors.Is(err, store.ErrInput) || out.Len() > 0 {
		t.Errorf("Write: %v, %q", err, out)
	}
}

func TestCSVCells(t *testing.T) {
	for in, want := range map[string]string{
		"":            "",
		"plain":       "plain",
		"=1+1":        "'=1+1",
		"+SUM(A1)":    "'+SUM(A1)",
		"-2+3":        "'-2+3",
		"@x":          "'@x",
		"＝1":          "'＝1",
		"-12":         "-12", // a number
		"a=b":         "a=b",
		"\t=1":        `\t=1`,
		"\r=1":        `\r=1`,
		`C:\dir`:      `C:\dir`,
		"x\u202ey\n.": `x\u202ey\n.`,
	} {
		if got := csvCell(in); got != want {
			t.Errorf("csvCell(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestCSVIsReadBack(t *testing.T) {
	header, records := makeListing(t)
	s, out, _ := term.Test("")
	view, err := NewListView("csv", s, ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := List(view, header, records); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(out).ReadAll()
	if err != nil || len(rows) != len(records)+1 {
		t.Fatalf("%d rows for %d records, %v", len(rows), len(records), err)
	}
	for i, r := range records {
		if r.SHA256.IsZero() != (rows[i+1][0] == "") || !r.SHA256.IsZero() && rows[i+1][0] != r.SHA256.String() {
			t.Errorf("row %d has the fingerprint %q", i+1, rows[i+1][0])
		}
	}
}

// A store that is made of another does not know who put a certificate there:
// beside one that does, it looked as if somebody unknown had a hand in it.
func TestOriginOfWhatFollows(t *testing.T) {
	c := makeCerts(t).root
	followInfo := info("java:/etc/ssl/certs/java/cacerts", "Debian's Java CA certificates", store.ScopeSystem)
	followInfo.DerivedFrom = system
	stores := []ListStore{{Info: info(system, "", store.ScopeSystem)}, {Info: followInfo}, {Info: info(jdk, "", store.ScopeSystem)}}
	vendor, generated, unknown := store.Origin{By: store.ByVendor}, store.Origin{By: store.ByUnknown, Detail: "generated"}, store.Origin{By: store.ByUnknown}
	record := func(id store.ID, o store.Origin) ListRecord {
		return NewListRecord(id, store.Entry{Cert: c, Origin: o}, now)
	}
	for _, test := range []struct {
		records []ListRecord
		want    []string
	}{
		{[]ListRecord{record(system, vendor), record(followInfo.ID, generated)}, []string{"vendor"}},
		{[]ListRecord{record(followInfo.ID, generated), record(system, vendor)}, []string{"vendor"}},
		{[]ListRecord{record(followInfo.ID, generated)}, []string{"unknown: generated"}},
		{[]ListRecord{record(system, vendor), record(jdk, unknown)}, []string{"vendor", "unknown"}},
	} {
		if got := groups(stores, test.records)[0].origins; !slices.Equal(got, test.want) {
			t.Errorf("got %q, not %q", got, test.want)
		}
	}
}

func TestPEMHoldsEachCertificateOnce(t *testing.T) {
	header, records := makeListing(t)
	want := map[store.Fingerprint]int{}
	for _, r := range records {
		if !r.SHA256.IsZero() {
			want[r.SHA256] = 1
		}
	}
	s, out, _ := term.Test("")
	view, err := NewListView("pem", s, ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := List(view, header, records); err != nil {
		t.Fatal(err)
	}
	got := map[store.Fingerprint]int{}
	for rest := out.Bytes(); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		got[store.FingerprintOf(block.Bytes)]++
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A listing that was read back from JSON is as good as the one it was.
func TestRecordsFromJSON(t *testing.T) {
	header, records := makeListing(t)
	render := func(format string, records []ListRecord) string {
		s, out, _ := term.Test("")
		view, err := NewListView(format, s, ListOptions{PEM: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := List(view, header, records); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	var doc ListDoc
	if err := json.Unmarshal([]byte(render("json", records)), &doc); err != nil {
		t.Fatal(err)
	}
	for _, format := range ListFormats() {
		if diff := cmp.Diff(render(format, records), render(format, doc.Entries)); diff != "" {
			t.Errorf("%s: (-before +after)\n%s", format, diff)
		}
	}
}

type brokenPipe struct{}

var errPipe = errors.New("broken pipe")

func (brokenPipe) Write([]byte) (int, error) { return 0, errPipe }

func TestWriteErrors(t *testing.T) {
	header, records := makeListing(t)
	for _, format := range ListFormats() {
		for _, byStore := range []bool{false, true} {
			s, _, _ := term.Test("")
			s.Out = brokenPipe{}
			view, err := NewListView(format, s, ListOptions{ByStore: byStore})
			if err != nil {
				t.Fatal(err)
			}
			if err := List(view, header, records); !errors.Is(err, errPipe) {
				t.Errorf("list as %s: %v", format, err)
			}
		}
	}
	for file, doc := range docs(t) {
		if strings.HasPrefix(file, "error") {
			continue // goes to Err
		}
		for _, format := range Formats() {
			if strings.HasPrefix(file, "explain-unknown") && format == "table" {
				continue // there is nothing to say: the error says it
			}
			s, _, _ := term.Test("")
			s.Out = brokenPipe{}
			if err := Write(s, format, doc); !errors.Is(err, errPipe) {
				t.Errorf("%s as %s: %v", file, format, err)
			}
		}
	}
}

func TestTable(t *testing.T) {
	columns := []Column{{Title: "A", Min: 4}, {Title: "B", Min: 3, Drop: true}, {Title: "EMPTY"}, {Title: "C", Open: true}}
	for _, test := range []struct {
		width int
		color bool
		want  string
	}{
		{0, false, "A           B      C\n日本語日本  bbbbb  a sentence of words\nx           y\n"},
		{18, false, "A          B      C\n日本語日…  bbbbb  a sentence of words\nx          y\n"},
		{12, false, "A    B     C\n日…  bbb…  a sentence of words\nx    y\n"},
		{6, false, "A    C\n日…  a sentence of words\nx\n"},
		{1, false, "A    C\n日…  a sentence of words\nx\n"},
		{0, true, "\x1b[2mA\x1b[0m           \x1b[2mB\x1b[0m      \x1b[2mC\x1b[0m\n\x1b[31m日本語日本\x1b[0m  bbbbb  a sentence of words\nx           y\n"},
	} {
		s, out, _ := term.Test("")
		s.Width, s.Color = test.width, test.color
		table := NewTable(columns...)
		table.Row(Cell{"日本語日本", term.Red}, Cell{Text: "bbbbb"}, Cell{}, Cell{Text: "a sentence of words"})
		table.Row(plain("x", "y", "", "")...)
		if err := table.Write(s); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, out.String()); diff != "" {
			t.Errorf("width %d, color %v: (-want +got)\n%s", test.width, test.color, diff)
		}
	}
}

func TestTablesFitTheTerminal(t *testing.T) {
	header, records := makeListing(t)
	for width := 64; width < 400; width += 7 {
		s, out, _ := term.Test("")
		s.Width, s.Color = width, true
		view, err := NewListView("table", s, ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := List(view, header, records); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(out.String()) {
			if got := text.StringWidthWithoutEscSequences(strings.TrimSuffix(line, "\n")); got > width {
				t.Errorf("a line of %d columns on a terminal of %d: %q", got, width, line)
			}
		}
	}
}

func TestCommandText(t *testing.T) {
	for want, args := range map[string][]string{
		"update-ca-certificates --fresh": {"update-ca-certificates", "--fresh"},
		`cp 'a b' '' '$(x)' 'it'\''s'`:   {"cp", "a b", "", "$(x)", "it's"},
		`'a\u001b[2J'`:                   {"a\x1b[2J"},
	} {
		if got := commandText(args); got != want {
			t.Errorf("commandText(%q) = %s, want %s", args, got, want)
		}
	}
}

func TestErrorInfo(t *testing.T) {
	if NewErrorInfo(nil) != nil {
		t.Error("nil is an error")
	}
	want := &ErrorInfo{Code: "corrupt", Op: "read", Store: jdk, Path: errJDK.Path, Message: errJDK.Error(), Hint: errJDK.Hint}
	if diff := cmp.Diff(want, NewErrorInfo(errJDK)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := NewErrorInfo(errors.New("oops")); got.Code != "failed" || got.reason() != "oops" {
		t.Errorf("%+v", got)
	}
}
