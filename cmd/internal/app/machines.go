package app

import (
	"fmt"
	"path"
	"strings"

	"github.com/urfave/cli/v2"

	"github.com/certtrust/certtrust/platform"
	"github.com/certtrust/certtrust/platform/host"
	"github.com/certtrust/certtrust/store"
)

// chosenMachine is a machine that a command looks at, with the stores that are
// selected.
type chosenMachine struct {
	host  *host.Host
	found []platform.Found
	// several tells that it is one of several, so that the IDs of its stores
	// tell which.
	several bool
}

// chosenMachines returns this machine, or those in the offline roots.
func (a *App) chosenMachines(c *cli.Context) ([]chosenMachine, error) {
	roots := c.StringSlice("root")
	if len(roots) < 2 {
		h, err := a.machine(c)
		if err != nil {
			return nil, err
		}
		found, err := a.storesOf(c, h)
		if err == nil {
			err = a.passwordsHeeded(found)
		}
		return []chosenMachine{{host: h, found: found}}, err
	}
	var out []chosenMachine
	var all []platform.Found
	for _, root := range roots {
		h, err := a.offline(root)
		if err != nil {
			return nil, err
		}
		found, err := a.storesOf(c, h)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", store.Printable(h.Root), err)
		}
		out, all = append(out, chosenMachine{h, found, true}), append(all, found...)
	}
	return out, a.passwordsHeeded(all)
}

// read returns a store to be read, with an ID that tells its root if there are
// several.
func (m chosenMachine) read(f platform.Found) platform.Found {
	if m.several {
		return platform.Found{Store: rooted{f}, Reasons: f.Reasons}
	}
	return f
}

// machineNames returns what machines are called.
func (a *App) machineNames(c *cli.Context, machines []*host.Host) string {
	if len(machines) == 1 {
		return a.hostName(c)
	}
	var names []string
	for _, h := range machines {
		name, err := h.ReadFile("/etc/hostname", 1<<10)
		if text := strings.TrimSpace(string(name)); err == nil && text != "" {
			names = append(names, text)
		} else {
			names = append(names, path.Base(h.Root))
		}
	}
	return strings.Join(names, ", ")
}
