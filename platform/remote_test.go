package platform

import (
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"

	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// A store that is another user's, and is asked everything through a process of
// that user, is a store like any other.
func TestRemoteConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T) storetest.Fixture {
		h := host.Fake(storetest.TempDir(t))
		file := filepath.Join(h.Root, "store.json")
		var faults storetest.Faults
		backends := []Backend{{
			Name: "mem", Scopes: []store.Scope{store.ScopeUser},
			Detect: func(context.Context, *host.Host) Detection {
				m := storetest.NewMemory(store.Info{ID: "mem:one", Title: "One", Scope: store.ScopeUser})
				m.File = file
				m.Fault = func(op string) error {
					if op == "write" {
						return faults.Fail(op, file)
					}
					return nil
				}
				return Detection{Stores: []store.Store{m}, Reasons: []string{"it is there"}}
			},
		}}
		ask := func(ctx context.Context, r RemoteRequest) (reply RemoteReply, err error) {
			var request RemoteRequest
			data, err := json.Marshal(r)
			if err == nil {
				err = json.Unmarshal(data, &request)
			}
			if err == nil {
				data, err = json.Marshal(ServeRemote(ctx, h, backends, nil, request))
			}
			if err == nil {
				err = json.Unmarshal(data, &reply)
			}
			return reply, err
		}
		open := func() store.Editor {
			found, err := Detect(t.Context(), h, Remote(backends, "@bob", ask), Selector{User: true})
			if err != nil || len(found) != 1 || found[0].Info().ID != "mem:one@bob" {
				t.Fatalf("it finds %v (%v)", found, err)
			}
			return found[0].Store.(store.Editor)
		}
		return storetest.Fixture{Store: open(), Reopen: open, Parallel: open, Fault: faults.Set}
	})
}

// Advice for the command line of the user, whose stores have other names here,
// would lead nowhere.
func TestRemoteHints(t *testing.T) {
	const hint = "--store-password-file mem:one=FILE"
	refused := store.Refused{Code: "secret", Reason: "a password is needed", Hint: hint}
	info := store.Info{ID: "mem:one", Backend: "mem", Scope: store.ScopeUser}
	info.Access.Write = &store.Obstacle{Kind: store.NeedsSecret, Text: refused.Reason, Hint: hint}
	ask := func(_ context.Context, r RemoteRequest) (reply RemoteReply, err error) {
		switch r.Do {
		case "stores":
			reply.Stores = []RemoteStore{{Info: info, Edits: true}}
		case "plan":
			reply.Plan = &store.Plan{Refused: []store.Refused{refused}}
		case "apply":
			reply.Error = newRemoteError(&store.Error{Err: store.ErrSecret, Hint: hint})
		}
		return reply, nil
	}
	found, err := Detect(t.Context(), host.Fake(t.TempDir()), Remote([]Backend{{Name: "mem", Scopes: []store.Scope{store.ScopeUser}}}, "@bob", ask), Selector{User: true})
	if err != nil || len(found) != 1 {
		t.Fatalf("it finds %v (%v)", found, err)
	}
	s := found[0].Store.(store.Editor)
	p, err := s.Plan(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, failed := s.Apply(t.Context(), p)
	for where, got := range map[string]string{"info": s.Info().Access.Write.Hint, "plan": p.Refused[0].Hint, "error": store.Hint(failed)} {
		if got != "--store-password-file mem:one@bob=FILE" {
			t.Errorf("the %s has the hint %q", where, got)
		}
	}
}

// What could not be asked is a store that cannot be read, and not nothing.
func TestRemoteFails(t *testing.T) {
	ask := func(context.Context, RemoteRequest) (RemoteReply, error) {
		return RemoteReply{}, store.Because(store.ErrPermission, "only root can")
	}
	backends := []Backend{{Name: "mem", Scopes: []store.Scope{store.ScopeUser}}, {Name: "sys", Scopes: []store.Scope{store.ScopeSystem}}}
	found, err := Detect(t.Context(), host.Fake(t.TempDir()), Remote(backends, "@bob", ask), Selector{User: true})
	if err != nil || len(found) != 1 {
		t.Fatalf("it finds %v (%v)", found, err)
	}
	for _, err := range found[0].Entries(t.Context()) {
		if !errors.Is(err, store.ErrPermission) {
			t.Errorf("reading gives %v", err)
		}
	}
}
