package app

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// The stores of another user are looked at and changed by a process of this
// program with that user's rights: root follows nothing that the user could
// turn into something else.

const userCommandName = "__user"

// userCommand answers for the stores of this process's user.
func (a *App) userCommand() *cli.Command {
	return &cli.Command{
		Name: userCommandName, Hidden: true,
		Action: func(c *cli.Context) error {
			data, err := io.ReadAll(io.LimitReader(a.Streams.In, maxRequest))
			if err != nil {
				return err
			}
			var r platform.RemoteRequest
			if err := json.Unmarshal(data, &r); err != nil {
				return store.Because(store.ErrInput, "this is nothing that can be asked: %w", err)
			}
			secrets := &storeSecrets{given: map[string]host.Secret{}}
			for id, secret := range r.Secrets {
				secrets.given[id] = host.NewSecret([]byte(secret))
			}
			a.Host.Secrets = secrets
			return json.NewEncoder(a.Streams.Out).Encode(platform.ServeRemote(c.Context, a.Host, a.Backends, a.ours(a.Host), r))
		},
	}
}

// asUser returns what asks a process with a user's rights. The IDs of stores
// end in suffix here, but not there.
func (a *App) asUser(u host.User, suffix string) platform.AskRemote {
	return func(ctx context.Context, r platform.RemoteRequest) (reply platform.RemoteReply, err error) {
		if s, ok := a.Host.Secrets.(*storeSecrets); ok && s != nil {
			r.Secrets = map[string]string{}
			for id, secret := range s.given {
				if own, found := strings.CutSuffix(id, suffix); found {
					r.Secrets[own] = string(secret.Bytes())
				}
			}
		}
		data, err := json.Marshal(r)
		if err != nil {
			return reply, err
		}
		command, err := a.Host.RightsCommand(host.Rights{User: &u}, append(slices.Clone(a.Self), userCommandName))
		if err != nil {
			return reply, err
		}
		command.Stdin, command.Keep, command.Timeout = bytes.NewReader(data), maxRequest, partTimeout
		out, err := a.Host.Run(ctx, command)
		if err != nil && len(out.Stdout) == 0 {
			return reply, store.Because(store.ErrPermission, "it could not be done as the user %s: %w", store.Printable(u.Name), err)
		}
		if json.Unmarshal(out.Stdout, &reply) != nil {
			return reply, store.Because(store.ErrFailed, "the process of the user %s answered nothing that can be understood", store.Printable(u.Name))
		}
		return reply, nil
	}
}

// own returns the backends for a machine. As root on behalf of a user, that
// user's stores are left to a process of the user's own.
func (a *App) own(h *host.Host) []platform.Backend {
	if !h.Live || h.Root != "" || h.EUID != 0 || h.User.UID <= 0 {
		return a.Backends
	}
	out := slices.DeleteFunc(slices.Clone(a.Backends), func(b platform.Backend) bool { return onlyUsers(b) })
	remote := platform.Remote(a.Backends, "", a.asUser(h.User, ""))
	for i, r := range remote {
		for _, b := range a.Backends {
			if b.Name == r.Name && b.Place != nil {
				// What belongs to somebody else is that one's own too.
				remote[i].Place = func(h *host.Host, at string) (store.Store, []string, error) {
					if uid, foreign := h.Foreign(at); foreign && uid == h.User.UID {
						return r.Place(h, at)
					}
					return b.Place(h, at)
				}
			}
		}
	}
	return append(out, remote...)
}

// onlyUsers reports whether a backend's stores are all users' own.
func onlyUsers(b platform.Backend) bool {
	return len(b.Scopes) == 1 && b.Scopes[0] == store.ScopeUser
}

// ofOthers reports whether a command is about the stores of named users.
func ofOthers(c *cli.Context) bool { return len(c.StringSlice("for-user")) > 0 || c.Bool("all-users") }

// backends returns the backends that a command's flags are about.
func (a *App) backends(c *cli.Context, h *host.Host) ([]platform.Backend, error) {
	if !ofOthers(c) {
		out := a.own(h)
		for _, u := range a.usersNamed(c, h) {
			out = append(out, a.usersBackends(u)...)
		}
		return out, nil
	}
	if len(c.StringSlice("root")) > 0 {
		return nil, usage("--root looks at a system of which no user is here: leave out --for-user and --all-users")
	}
	if c.Bool("user") {
		return nil, usage("--user and --for-user are different things: give one of them")
	}
	var users []host.User
	if c.Bool("all-users") {
		all, err := h.Users()
		if err != nil {
			return nil, err
		}
		users = all
	}
	for _, name := range c.StringSlice("for-user") {
		u, err := h.LookupUser(name)
		if err != nil {
			return nil, err
		}
		users = append(users, u)
	}
	if len(users) == 0 {
		return nil, &store.Error{Err: store.Because(store.ErrNotFound, "there are no users with a home directory here")}
	}
	var out []platform.Backend
	if c.Bool("system") {
		for _, b := range a.Backends {
			if !onlyUsers(b) {
				out = append(out, b)
			}
		}
	}
	for _, u := range users {
		out = append(out, a.usersBackends(u)...)
	}
	return out, nil
}

// usersNamed returns the users whose stores are named as root calls them:
// nss:chromium@alice.
func (a *App) usersNamed(c *cli.Context, h *host.Host) (users []host.User) {
	if !h.Live {
		return nil
	}
	for _, pattern := range c.StringSlice("store") {
		at := strings.LastIndexByte(pattern, '@')
		if at < 0 || slices.ContainsFunc(users, func(u host.User) bool { return u.Name == pattern[at+1:] }) {
			continue
		}
		if u, err := h.LookupUser(pattern[at+1:]); err == nil {
			users = append(users, u)
		}
	}
	return users
}

func (a *App) usersBackends(u host.User) []platform.Backend {
	return platform.Remote(a.Backends, "@"+u.Name, a.asUser(u, "@"+u.Name))
}

// changed returns the stores of this machine and user, and those among ids that
// are other users' or in places of their own.
func (a *App) changed(ctx context.Context, ids []store.ID) ([]platform.Found, error) {
	h := a.Host
	if a.image != nil {
		h = a.image
	}
	found, err := platform.Detect(ctx, h, a.own(h), platform.Selector{})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		if slices.ContainsFunc(found, func(f platform.Found) bool { return f.Info().ID == id }) {
			continue
		}
		backends := a.own(h)
		if at := strings.LastIndexByte(string(id), '@'); at >= 0 {
			u, err := a.Host.LookupUser(string(id)[at+1:])
			if err != nil {
				return nil, err
			}
			backends = a.usersBackends(u)
		}
		more, err := platform.Detect(ctx, h, backends, platform.Selector{Stores: []string{escapePattern(string(id))}})
		if err != nil {
			continue // it is told as missing
		}
		found = append(found, more...)
	}
	return found, nil
}

// escapePattern returns the ID if it is no pattern by accident.
func escapePattern(id string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(id)
}
