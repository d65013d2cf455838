package platform_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/keychain"
	"github.com/certtrust/certtrust/platform/keychain/securitytest"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/storetest"
)

// Under sudo, the user's domain is that of the user behind it. By
// itself root does not act on it; the program asks a process of that user's.
func TestBehindSudo(t *testing.T) {
	for _, version := range securitytest.Versions() {
		t.Run(version, func(t *testing.T) {
			m, err := securitytest.New(storetest.TempDir(t), version)
			if err != nil {
				t.Fatal(err)
			}
			root := m.Host(0)
			root.User = host.User{Name: "user", UID: securitytest.UserID, GID: 20, Home: securitytest.Home, Via: "sudo"}
			stores, _ := keychain.DetectUser(t.Context(), root)
			if len(stores) != 1 || stores[0].Info().Access.Read == nil || stores[0].Info().Access.Read.Kind != store.NeedsElevation {
				t.Fatalf("root opened the user's store: %+v", stores)
			}
			for _, err := range stores[0].Entries(t.Context()) {
				if !errors.Is(err, store.ErrPermission) {
					t.Fatalf("root read it: %v", err)
				}
			}
			// The process of the user is what host.RightsCommand makes of it.
			ask := func(ctx context.Context, r platform.RemoteRequest) (reply platform.RemoteReply, err error) {
				command, err := root.RightsCommand(host.Rights{User: &root.User}, []string{"/usr/local/bin/certtrust", "__user"})
				if err != nil || command.Rights == nil || command.Rights.UID != securitytest.UserID {
					t.Fatalf("the command is %+v, %v", command, err)
				}
				data, err := json.Marshal(platform.ServeRemote(ctx, m.Host(command.Rights.UID), platform.Backends(), nil, r))
				if err != nil {
					return reply, err
				}
				return reply, json.Unmarshal(data, &reply)
			}
			found, err := platform.Detect(t.Context(), root, platform.Remote(platform.Backends(), "", ask), platform.Selector{Stores: []string{string(keychain.LoginID)}})
			if err != nil {
				t.Fatal(err)
			}
			ed := found[0].Store.(store.Editor)
			ca := storetest.NewCA(t).Cert()
			trust := store.TrustFor(store.Trusted, store.PurposeServerAuth)
			want := []store.Change{{Fingerprint: ca.SHA256, DER: ca.Raw, Trust: &trust}}
			p, err := ed.Plan(t.Context(), want)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := ed.Apply(t.Context(), p); err != nil {
				t.Fatal(err)
			}
			st, err := m.State()
			if err != nil {
				t.Fatal(err)
			}
			if st.Trust["user:501"] == nil || len(st.Trust["user:501"].Records) != 1 || st.Trust["user:0"] != nil || st.Trust["admin"] != nil {
				t.Errorf("the settings are those of %v", st.Trust)
			}
			if n, err := m.Dialogs(); n != 1 || err != nil {
				t.Errorf("%d dialogs, %v", n, err)
			}
		})
	}
}
