package anchors

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// asides are defects that are mended by setting files aside.
var asides = map[string]struct {
	plant   func(b *box)
	trusted bool // what is in it stays so
	undone  error
}{
	"stale temporary": {plant: func(b *box) { b.write(bundle+".new", newCA(b, "Aside").PEM()) }},
	"backup":          {plant: func(b *box) { b.write(certsDir+"aside.pem.bak", newCA(b, "Aside").PEM()) }},
	"dangling link":   {plant: func(b *box) { b.link("/nowhere.pem", certsDir+"gone.pem") }},
	"line break":      {plant: func(b *box) { b.write(adminDir+"a\nb.crt", newCA(b, "Aside").PEM()) }},
	"private key": {
		plant: func(b *box) {
			ca := newCA(b, "Aside")
			b.write(adminDir+"key.crt", concat(ca.KeyPEM(), ca.PEM()))
			b.chmod(adminDir+"key.crt", 0o600)
			b.update()
		},
		trusted: true, undone: store.ErrUnsupported, // the key would be copied again
	},
}

// Nothing is deleted: what is mended lies where only root can look, with the
// content and the mode that it had, and undo brings it back.
func TestSetAside(t *testing.T) {
	for name, c := range asides {
		for _, engine := range []string{host.EngineNative, host.EngineDistro} {
			t.Run(name+", "+engine, func(t *testing.T) {
				b := newBox(t, false)
				b.host.Engine = engine
				b.clean()
				c.plant(b)
				before := strings.Split(b.tree(), "\n")
				receipt := b.repair()
				b.clean()
				if ca := newCA(t, "Aside").Cert(); c.trusted {
					b.trusted(ca, true)
				} else {
					b.trusted(ca, false)
				}
				if strings.Contains(b.read(bundle), "PRIVATE KEY") {
					t.Error("the key is still in the bundle")
				}
				if text := strings.Join(receipt.Notices, "\n"); strings.Contains(text, "also brings in") { // it is what goes
					t.Error(text)
				}
				var aside []string
				for _, line := range strings.Split(b.tree(), "\n") {
					if strings.Contains(line, asideName+"/") {
						aside = append(aside, line)
					}
				}
				if len(aside) != 1 {
					t.Fatalf("set aside are %q", aside)
				}
				_, what, _ := strings.Cut(aside[0], " ")
				if !slices.ContainsFunc(before, func(line string) bool { return strings.HasSuffix(line, what) }) {
					t.Errorf("%q is none of what was there", what)
				}
				dir := filepath.Dir(b.path(strings.Fields(aside[0])[0]))
				if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("%s: %v, %v", dir, info.Mode(), err)
				}

				if name == "stale temporary" { // half a bundle, which nobody wants back
					if len(receipt.Undo) > 0 {
						t.Errorf("undo brings it back: %+v", receipt.Undo)
					}
					return
				}
				s := b.open()
				plan, err := s.Plan(t.Context(), receipt.Undo)
				b.must(err)
				if c.undone != nil {
					if len(plan.Refused) != 1 || plan.Refused[0].Code != store.Code(c.undone) {
						t.Errorf("refused is %+v", plan.Refused)
					}
					return
				}
				if len(plan.Refused) > 0 {
					t.Fatalf("refused: %+v", plan.Refused)
				}
				undo, err := s.Apply(t.Context(), plan)
				b.must(err)
				if after := strings.Split(b.tree(), "\n"); !slices.Equal(before, after) {
					t.Errorf("before\n%s\nafter\n%s", strings.Join(before, "\n"), strings.Join(after, "\n"))
				}
				if len(undo.Undo) > 0 {
					t.Errorf("that can be undone: %+v", undo.Undo)
				}
			})
		}
	}
}

// At whatever step it fails, everything is as it was, and another try mends it.
func TestSetAsideFails(t *testing.T) {
	for name, c := range asides {
		for _, engine := range []string{host.EngineNative, host.EngineDistro} {
			t.Run(name+", "+engine, func(t *testing.T) {
				for n := 1; ; n++ {
					b := newBox(t, false)
					b.host.Engine = engine
					c.plant(b)
					var mendable []store.Problem
					for _, p := range b.problems() {
						if p.Mendable {
							mendable = append(mendable, p)
						}
					}
					s := b.open()
					plan, err := s.PlanRepair(t.Context(), mendable)
					b.must(err)
					unchanged := b.unchanged()
					count, failed := 0, ""
					b.host.Fault = func(op, path string) error {
						if count++; count == n {
							failed = op + " " + path
							return errors.New("a fault was asked for")
						}
						return nil
					}
					_, err = s.Apply(t.Context(), plan)
					b.host.Fault = nil
					if err == nil {
						if failed != "" && !strings.HasPrefix(failed, "lock") {
							t.Errorf("it succeeds without %s", failed)
						}
						if count < n {
							if n < 4 {
								t.Errorf("there are only %d steps", n)
							}
							return
						}
					} else {
						unchanged()
					}
					b.repair()
					b.clean()
				}
			})
		}
	}
}

// What is to be brought back is not believed: it comes out of a file.
func TestBringBack(t *testing.T) {
	b := newBox(t, false)
	b.write(certsDir+"aside.pem.bak", newCA(t, "Aside").PEM())
	back := b.repair().Undo[0]
	secret := "/etc/shadow"
	b.write(secret, []byte("secret"))
	for name, c := range map[string]struct {
		change store.Change
		want   error
	}{
		"to elsewhere":     {store.Change{Item: "/etc/cron.d/x", Aside: back.Aside}, store.ErrInput},
		"up and away":      {store.Change{Item: certsDir + "../../cron.d/x", Aside: back.Aside}, store.ErrInput},
		"from elsewhere":   {store.Change{Item: back.Item, Aside: secret}, store.ErrInput},
		"from up and away": {store.Change{Item: back.Item, Aside: filepath.Dir(back.Aside) + "/../../shadow"}, store.ErrInput},
		"not there":        {store.Change{Item: back.Item, Aside: back.Aside + "x"}, store.ErrNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			b.TB = t
			b.refused(c.want, c.change)
		})
	}
	b.TB = t
	b.write(back.Item, []byte("another"))
	b.refused(store.ErrConflict, back)
	b.must(os.Remove(b.path(back.Item)))
	b.do(back)
	b.clean("stray-backup " + certsDir + "aside.pem.bak")
	if p := b.plan(b.open(), back); !p.Empty() {
		t.Errorf("it is back, and to be done is %+v", p.Steps)
	}
}

// The same defect can be there twice.
func TestSetAsideTwice(t *testing.T) {
	b := newBox(t, false)
	for range 2 {
		b.write(certsDir+"aside.pem.bak", newCA(t, "Aside").PEM())
		b.repair()
	}
	files, err := os.ReadDir(b.path("/etc/ssl/" + asideName))
	if err != nil || len(files) != 2 {
		t.Errorf("%v, %v", files, err)
	}
}
