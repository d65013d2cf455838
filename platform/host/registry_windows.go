package host

import (
	"slices"
	"strings"

	"golang.org/x/sys/windows/registry"
)

// maxKeys is how many values and subkeys of a key are looked at.
const maxKeys = 1000

func readRegistry(key string) (values map[string]string, subkeys []string) {
	hive, rest, _ := strings.Cut(key, `\`)
	root, known := map[string]registry.Key{"HKLM": registry.LOCAL_MACHINE, "HKCU": registry.CURRENT_USER}[hive]
	if !known {
		return nil, nil
	}
	k, err := registry.OpenKey(root, rest, registry.QUERY_VALUE|registry.ENUMERATE_SUB_KEYS)
	if err != nil {
		return nil, nil
	}
	defer k.Close()
	values = map[string]string{}
	names, _ := k.ReadValueNames(maxKeys) // with an error too there is what was read
	for _, name := range names {
		if text, _, err := k.GetStringValue(name); err == nil {
			values[name] = text
		}
	}
	subkeys, _ = k.ReadSubKeyNames(maxKeys)
	slices.Sort(subkeys)
	return values, subkeys
}
