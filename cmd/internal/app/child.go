package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/platform/journal"
	"github.com/certtrust/certtrust/store"
	"github.com/certtrust/certtrust/store/audit"
)

// Some of a change may need other rights than this process has. That part is
// done by a process of this program that has them. It is told what is wanted,
// and the digest of the plan; it plans by itself, and does nothing but what it
// has planned, if that is the same.

// The hidden commands of such processes.
const (
	partCommandName    = "__part"
	journalCommandName = "__journal"
)

// maxRequest bounds what a process is told: more than any plan needs.
const maxRequest = 256 << 20

// partRequest is what the process with other rights is told.
type partRequest struct {
	Plan    store.Plan `json:"plan"`
	Set     string     `json:"set"`
	Engine  string     `json:"engine,omitempty"`
	Command []string   `json:"command"`
	UndoOf  string     `json:"undoOf,omitempty"`
}

// partReply is what it answers.
type partReply struct {
	Receipt store.Receipt `json:"receipt"`
	Code    string        `json:"code,omitempty"`
	Error   string        `json:"error,omitempty"`
	Hint    string        `json:"hint,omitempty"`
}

// partTimeout is how long a part may take, a person's password included.
const partTimeout = 15 * time.Minute

// elevated applies a plan with administrator rights. The set and the command
// that its journal is to have are those of r.
func (a *App) elevated(ctx context.Context, plan store.Plan, r journal.Record) (store.Receipt, error) {
	fail := func(err error) (store.Receipt, error) {
		return store.Receipt{}, &store.Error{Op: "apply", Store: plan.Store, Err: err, Hint: store.Hint(err)}
	}
	request, err := json.Marshal(partRequest{Plan: plan, Set: r.Set, Engine: a.Host.Engine, Command: r.Command, UndoOf: r.UndoOf})
	if err != nil {
		return fail(err)
	}
	rights := host.Rights{Interactive: a.Streams.CanAsk()}
	command, err := a.Host.RightsCommand(rights, append(slices.Clone(a.Self), partCommandName))
	if err != nil {
		return fail(err)
	}
	command.Stdin, command.Keep, command.Timeout = bytes.NewReader(request), maxRequest, partTimeout
	a.Streams.Status("")
	out, err := a.Host.Run(ctx, command)
	var reply partReply
	if json.Unmarshal(out.Stdout, &reply) != nil {
		if err == nil {
			err = fmt.Errorf("it answered nothing that can be understood")
		}
		hint := "run: " + a.sudoLine()
		if a.Host.OS == "windows" {
			hint = "run it in a terminal that was opened as administrator"
		}
		return fail(&store.Error{Err: store.Because(store.ErrPermission, "administrator rights could not be had: %w", err), Hint: hint})
	}
	if reply.Error != "" {
		return reply.Receipt, &store.Error{Err: store.Because(store.Kind(reply.Code), "%s", store.Printable(reply.Error)), Hint: reply.Hint}
	}
	return reply.Receipt, nil
}

// partCommand does the part of a change that needs this process's rights.
func (a *App) partCommand() *cli.Command {
	return &cli.Command{
		Name: partCommandName, Hidden: true,
		Action: func(c *cli.Context) error {
			if pipe := c.Args().First(); pipe != "" { // Windows gives no other way
				in, out, err := host.ElevatedPipe(pipe)
				if err != nil {
					return err
				}
				defer out.Close()
				a.Streams.In, a.Streams.Out = in, out
			}
			receipt, err := a.part(c)
			reply := partReply{Receipt: receipt}
			if err != nil {
				reply.Code, reply.Error, reply.Hint = store.Code(err), err.Error(), store.Hint(err)
			}
			return json.NewEncoder(a.Streams.Out).Encode(reply)
		},
	}
}

func (a *App) part(c *cli.Context) (store.Receipt, error) {
	data, err := io.ReadAll(io.LimitReader(a.Streams.In, maxRequest))
	if err != nil {
		return store.Receipt{}, err
	}
	var r partRequest
	if err := json.Unmarshal(data, &r); err != nil {
		return store.Receipt{}, store.Because(store.ErrInput, "this is not what a part of a change is told by: %w", err)
	}
	a.Host.Engine = r.Engine
	found, err := platform.Detect(c.Context, a.Host, a.own(a.Host), platform.Selector{Stores: []string{string(r.Plan.Store)}})
	if err != nil {
		return store.Receipt{}, err
	}
	for _, f := range found {
		editor, ok := f.Store.(store.Editor)
		if f.Info().ID != r.Plan.Store || !ok {
			continue
		}
		return platform.Apply(c.Context, editor, r.Plan, platform.Options{
			Journal: a.journal(), Set: r.Set, Record: journal.Record{Command: r.Command, UndoOf: r.UndoOf},
		})
	}
	return store.Receipt{}, &store.Error{Store: r.Plan.Store, Err: store.ErrNotFound}
}

// journalCommand does an operation on the journal of this process's user.
func (a *App) journalCommand() *cli.Command {
	return &cli.Command{
		Name: journalCommandName, Hidden: true,
		Action: func(c *cli.Context) error {
			payload, err := io.ReadAll(io.LimitReader(a.Streams.In, maxRequest))
			if err != nil {
				return err
			}
			reply, err := journal.Serve(a.Host, c.Args().First(), payload)
			if err != nil {
				return err
			}
			_, err = a.Streams.Out.Write(reply)
			return err
		},
	}
}

// values completes what flags and arguments can be.
func (a *App) values(flag, command string) []candidate {
	lists := map[string][]string{
		"purpose":  stringsOf(store.NamedPurposes()),
		"allow":    store.ConcernCodes(),
		"lang":     languages(),
		"starttls": startTLSNames(),
		"fail-on":  failOns,
		"origin":   stringsOf(origins),
		"engine":   host.Engines(),
	}
	switch {
	case flag == "store":
		found, _ := platform.Detect(context.Background(), a.Host, a.own(a.Host), platform.Selector{})
		var out []candidate
		for _, f := range found {
			out = append(out, candidate{string(f.Info().ID), f.Info().Title})
		}
		return out
	case flag == "fail-on" && command == "audit":
		lists["fail-on"] = stringsOf(audit.Severities())
	case flag == "against":
		lists["against"] = []string{"mozilla"}
	case flag == "format":
		lists["format"] = formatsOf(command)
	case flag == "" && command == "undo":
		sets, _ := a.journal().Sets(context.Background())
		var out []candidate
		for _, s := range sets {
			out = append(out, candidate{s.ID, shellLine(s.Records[0].Command)})
		}
		return out
	case flag == "" && command == "help":
		for _, cmd := range a.tree().VisibleCommands() {
			lists[""] = append(lists[""], cmd.Name)
		}
	}
	var out []candidate
	for _, v := range lists[flag] {
		out = append(out, candidate{value: v})
	}
	return out
}

func stringsOf[T ~string](list []T) []string {
	var out []string
	for _, v := range list {
		out = append(out, string(v))
	}
	return out
}
