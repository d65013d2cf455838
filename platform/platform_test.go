package platform

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// machine is a set of backends that notes which of them are asked.
type machine struct{ asked []string }

// backend returns a backend that finds these stores, as "ID" for the system's,
// "ID@" for the user's own, "ID<ID" for one that is derived from another.
func (m *machine) backend(name string, scopes []store.Scope, ids ...string) Backend {
	return Backend{Name: name, Scopes: scopes, Detect: func(context.Context, *host.Host) Detection {
		m.asked = append(m.asked, name)
		d := Detection{Reasons: []string{name + " was looked for"}}
		for _, id := range ids {
			info := store.Info{Scope: store.ScopeSystem}
			id, from, _ := strings.Cut(id, "<")
			info.DerivedFrom = store.ID(from)
			id, user := strings.CutSuffix(id, "@")
			if user {
				info.Scope = store.ScopeUser
			}
			info.ID = store.ID(id)
			d.Stores = append(d.Stores, storetest.NewMemory(info))
		}
		return d
	}}
}

var (
	system = []store.Scope{store.ScopeSystem}
	user   = []store.Scope{store.ScopeUser}
	both   = []store.Scope{store.ScopeSystem, store.ScopeUser}
)

func (m *machine) backends() []Backend {
	return []Backend{
		m.backend("anchors", system, "anchors:system"),
		m.backend("nss", user, "nss:chromium@", "nss:firefox/a.default@", "nss:firefox/b.default@"),
		m.backend("java", both, "java:/usr/lib/jvm/17/cacerts<anchors:system", "java:/opt/jdk/cacerts", "java:/home/u/jdk/cacerts@"),
	}
}

func TestDetect(t *testing.T) {
	all := "anchors nss java"
	for _, c := range []struct {
		name  string
		sel   Selector
		want  []string
		asked string
	}{
		{"nothing selected is everything", Selector{},
			[]string{"anchors:system", "nss:chromium", "nss:firefox/a.default", "nss:firefox/b.default",
				"java:/usr/lib/jvm/17/cacerts", "java:/opt/jdk/cacerts", "java:/home/u/jdk/cacerts"}, all},
		{"the system's, not what follows it", Selector{System: true}, []string{"anchors:system", "java:/opt/jdk/cacerts"}, "anchors java"},
		{"the user's", Selector{User: true}, []string{"nss:chromium", "nss:firefox/a.default", "nss:firefox/b.default", "java:/home/u/jdk/cacerts"}, "nss java"},
		{"an ID", Selector{Stores: []string{"nss:chromium"}}, []string{"nss:chromium"}, "nss"},
		{"an ID that is derived", Selector{Stores: []string{"java:/usr/lib/jvm/17/cacerts"}}, []string{"java:/usr/lib/jvm/17/cacerts"}, "java"},
		{"a backend", Selector{Stores: []string{"nss"}}, []string{"nss:chromium", "nss:firefox/a.default", "nss:firefox/b.default"}, "nss"},
		{"several", Selector{Stores: []string{"nss:chromium", "anchors"}}, []string{"anchors:system", "nss:chromium"}, "anchors nss"},
		{"the system's and one more", Selector{System: true, Stores: []string{"nss:chromium"}}, []string{"anchors:system", "nss:chromium", "java:/opt/jdk/cacerts"}, all},
		{"a glob", Selector{Stores: []string{"nss:firefox/*"}}, []string{"nss:firefox/a.default", "nss:firefox/b.default"}, "nss"},
		{"a glob over slashes", Selector{Stores: []string{"nss:*"}}, []string{"nss:chromium", "nss:firefox/a.default", "nss:firefox/b.default"}, "nss"},
		{"a glob of a path", Selector{Stores: []string{"java:/usr/*"}}, []string{"java:/usr/lib/jvm/17/cacerts"}, "java"},
		{"a glob over backends", Selector{Stores: []string{"*:system"}}, []string{"anchors:system"}, all},
		{"a glob of a class", Selector{Stores: []string{"nss:firefox/[b].*"}}, []string{"nss:firefox/b.default"}, "nss"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &machine{}
			found, err := Detect(t.Context(), host.Fake(t.TempDir()), m.backends(), c.sel)
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			for _, f := range found {
				ids = append(ids, string(f.Info().ID))
				if want := f.Info().Backend + " was looked for"; !slices.Contains(f.Reasons, want) {
					t.Errorf("%s has the reasons %q", f.Info().ID, f.Reasons)
				}
			}
			if diff := cmp.Diff(c.want, ids); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if asked := strings.Join(m.asked, " "); asked != c.asked {
				t.Errorf("asked were %q, not %q", asked, c.asked)
			}
		})
	}
}

// Of a backend that knows what is in a place nothing else is looked at for it,
// which would take longer than all the rest.
func TestNamedByPlace(t *testing.T) {
	for _, c := range []struct {
		name  string
		sel   Selector
		want  string
		asked string
	}{
		{"a place", Selector{Stores: []string{"java:/opt/jdk/cacerts"}}, "java:/opt/jdk/cacerts", ""},
		{"a place by two names", Selector{Stores: []string{"java:/link", "java:/opt/jdk/cacerts"}}, "java:/opt/jdk/cacerts", ""},
		{"a place and another store", Selector{Stores: []string{"java:/elsewhere", "nss:chromium"}}, "nss:chromium java:/elsewhere", "nss"},
		{"a place and the system's", Selector{System: true, Stores: []string{"java:/link"}}, "anchors:system java:/opt/jdk/cacerts", "anchors java"},
		{"a pattern", Selector{Stores: []string{"java:/opt/*"}}, "java:/opt/jdk/cacerts", "java"},
		{"no place", Selector{Stores: []string{"java:/nowhere"}}, "", "java"},
	} {
		m := &machine{}
		backends := m.backends()
		backends[2].Knows = true
		backends[2].Place = func(_ *host.Host, place string) (store.Store, []string, error) {
			switch place {
			case "/link":
				place = "/opt/jdk/cacerts"
			case "/opt/jdk/cacerts", "/elsewhere":
			default:
				return nil, nil, fs.ErrNotExist
			}
			return storetest.NewMemory(store.Info{ID: store.ID("java:" + place), Scope: store.ScopeUser}), nil, nil
		}
		found, err := Detect(t.Context(), nil, backends, c.sel)
		var ids []string
		for _, f := range found {
			ids = append(ids, string(f.Info().ID))
		}
		if got := strings.Join(ids, " "); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%s: %q, not %q (%v)", c.name, got, c.want, err)
		}
		if asked := strings.Join(m.asked, " "); asked != c.asked {
			t.Errorf("%s: asked were %q, not %q", c.name, asked, c.asked)
		}
	}
}

// Of a place that is not there just that is said, and what is expected there:
// the list of all stores hid it.
func TestNoSuchPlace(t *testing.T) {
	names := map[string]bool{}
	for _, b := range Backends() {
		if b.Place == nil || names[b.Name] {
			continue
		}
		names[b.Name] = true
		_, err := Detect(t.Context(), host.Fake(t.TempDir()), Backends(), Selector{Stores: []string{b.Name + ":/no/such"}})
		if want := "open " + b.Name + ":/no/such: there is no such place"; err == nil || err.Error() != want || !errors.Is(err, store.ErrNotFound) {
			t.Errorf("it is not %q but %v", want, err)
		}
		if b.Wants == "" || store.Hint(err) != "name "+b.Wants {
			t.Errorf("%s: the hint is %q", b.Name, store.Hint(err))
		}
	}
	for _, name := range []string{"file", "dir", "nss", "java", "reg", "keychain"} {
		if !names[name] {
			t.Errorf("%s has no places", name)
		}
	}
	_, err := Detect(t.Context(), host.Fake(t.TempDir()), Backends(), Selector{Stores: []string{"dir:no/such"}})
	if err == nil || store.Hint(err) != "a place is named by its path: dir:./no/such; certtrust stores shows what there is" {
		t.Errorf("a place without its path: %v, %q", err, store.Hint(err))
	}
	_, err = Detect(t.Context(), host.Fake(t.TempDir()), Backends(), Selector{Stores: []string{"dir:/no/such*"}})
	if err == nil || !strings.Contains(err.Error(), "there is no store \"dir:/no/such*\"") {
		t.Errorf("a pattern: %v", err)
	}
}

// Of many stores only some are told.
func TestAmong(t *testing.T) {
	var found []Found
	for i := range 10 {
		found = append(found, Found{Store: storetest.NewMemory(store.Info{ID: store.ID(fmt.Sprint("mem:", i))})})
	}
	if got := among(found, nil); got != "there is mem:0, mem:1, mem:2, mem:3, mem:4, mem:5, 4 more" {
		t.Errorf("got %q", got)
	}
	if got := among(found[:7], nil); !strings.HasSuffix(got, "mem:5, 1 more") {
		t.Errorf("got %q", got)
	}
}

func TestDetectNothing(t *testing.T) {
	m := &machine{}
	none := []Backend{m.backend("anchors", system), m.backend("nss", user)}
	for _, c := range []struct {
		name     string
		backends []Backend
		sel      Selector
		kind     error
		says     []string
	}{
		{"an unknown ID", m.backends(), Selector{Stores: []string{"nss:other"}}, store.ErrNotFound,
			[]string{`"nss:other"`, "nss:chromium, nss:firefox/a.default"}},
		{"one of two", m.backends(), Selector{Stores: []string{"anchors", "java:/none"}}, store.ErrNotFound,
			[]string{`"java:/none"`, "anchors:system"}},
		{"an unknown backend", m.backends(), Selector{Stores: []string{"bogus"}}, store.ErrNotFound,
			[]string{`"bogus"`, "anchors, nss, java"}},
		{"a glob that fits none", m.backends(), Selector{Stores: []string{"nss:x*"}}, store.ErrNotFound, []string{"nss:chromium"}},
		{"no glob at all", m.backends(), Selector{Stores: []string{"nss:[x"}}, store.ErrInput, []string{"nss:[x"}},
		{"a hostile name", m.backends(), Selector{Stores: []string{"x\x1b]0;y"}}, store.ErrNotFound, []string{`x\u001b]0;y`}},
		{"nothing known", none, Selector{}, store.ErrUnsupported, []string{"no store", "anchors was looked for", "nss was looked for"}},
		{"no system store", none, Selector{System: true}, store.ErrUnsupported, []string{"no system store", "anchors was looked for"}},
		{"no store of the user's", none, Selector{User: true}, store.ErrUnsupported, []string{"user", "nss was looked for"}},
		{"no backends", nil, Selector{}, store.ErrUnsupported, []string{"no store"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, err := Detect(t.Context(), host.Fake(t.TempDir()), c.backends, c.sel)
			if !errors.Is(err, c.kind) || found != nil {
				t.Fatalf("found %v, error %v; want %v", found, err, c.kind)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
			if c.kind != store.ErrInput && store.Hint(err) == "" {
				t.Errorf("%q has no hint", err)
			}
		})
	}
	m.asked = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Detect(ctx, host.Fake(t.TempDir()), m.backends(), Selector{}); !errors.Is(err, context.Canceled) || len(m.asked) > 0 {
		t.Errorf("cancelled: error %v, asked %v", err, m.asked)
	}
}

func TestSelectorNames(t *testing.T) {
	sys := store.Info{ID: "anchors:system", Scope: store.ScopeSystem}
	own := store.Info{ID: "nss:chromium", Scope: store.ScopeUser}
	derived := store.Info{ID: "java:/x", Scope: store.ScopeSystem, DerivedFrom: sys.ID}
	for _, c := range []struct {
		sel  Selector
		info store.Info
		want bool
	}{
		{Selector{}, sys, false},
		{Selector{System: true}, sys, true},
		{Selector{System: true}, own, false},
		{Selector{System: true}, derived, false},
		// One of many that is damaged is nobody's failure.
		{Selector{User: true}, own, false},
		{Selector{User: true}, sys, false},
		{Selector{Stores: []string{"java:*"}}, derived, false},
		{Selector{Stores: []string{"java:/x"}}, derived, true},
		{Selector{System: true, Stores: []string{"nss"}}, own, false},
	} {
		if got := c.sel.Names(c.info); got != c.want {
			t.Errorf("%+v names %s: %t", c.sel, c.info.ID, got)
		}
	}
	for _, c := range []struct {
		sel  Selector
		info store.Info
		want bool
	}{
		{Selector{User: true}, own, true},
		{Selector{User: true}, sys, false},
		{Selector{Stores: []string{"java:*"}}, derived, true},
		{Selector{System: true, Stores: []string{"nss"}}, own, true},
	} {
		if got := c.sel.Selects(c.info); got != c.want {
			t.Errorf("%+v selects %s: %t", c.sel, c.info.ID, got)
		}
	}
}

// What is built in has a name, and answers on a machine that has nothing.
func TestBackends(t *testing.T) {
	h := host.Fake(t.TempDir())
	for _, b := range Backends() {
		if b.Name == "" {
			t.Errorf("backend %+v", b)
		}
		if d := b.Detect(t.Context(), h); len(d.Stores) > 0 || len(d.Reasons) == 0 {
			t.Errorf("%s finds %v on an empty machine, for %q", b.Name, d.Stores, d.Reasons)
		}
	}
}
