package sqlite

import (
	"slices"
	"strings"
)

// forbidden are the words that a plain schema does not have: they go before an
// expression that SQLite would evaluate, or a module that it would call.
var forbidden = []string{"GENERATED", "AS", "CHECK", "SELECT", "VIRTUAL", "WHERE"}

// words takes a statement apart: words and numbers in capitals, names in quotes
// as what is in them after a quote, and the signs ( ) , and -. It is not ok if
// there is anything else, or a forbidden word.
func words(statement string) (list []string, ok bool) {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
	closing := map[byte]string{'"': `"`, '\'': "'", '`': "`", '[': "]"}
	for statement = strings.TrimSpace(statement); statement != ""; statement = strings.TrimLeft(statement, " \t\r\n") {
		n := len(statement) - len(strings.TrimLeft(statement, letters))
		c := statement[0]
		switch end, quoted := closing[c]; {
		case n > 0:
			word := strings.ToUpper(statement[:n])
			if slices.Contains(forbidden, word) {
				return nil, false
			}
			list = append(list, word)
		case quoted:
			inner := strings.Index(statement[1:], end)
			if inner < 0 || strings.Trim(statement[1:1+inner], letters+" ,-") != "" {
				return nil, false
			}
			list = append(list, "'"+statement[1:1+inner])
			n = inner + 2
		case strings.IndexByte("(),-", c) >= 0 && !strings.HasPrefix(statement, "--"): // a comment
			list = append(list, string(c))
			n = 1
		default:
			return nil, false
		}
		statement = statement[n:]
	}
	return list, true
}

// isName reports whether a word is a name or a type, in quotes or not.
func isName(word string) bool { return !strings.Contains("(),-", word) }

// plainTable reports whether a statement makes a table of names, types and
// constraints alone: in the parentheses of its columns there are no others but
// around lists of names.
func plainTable(statement string) bool {
	list, ok := words(statement)
	if !ok || len(list) < 5 || list[0] != "CREATE" || list[1] != "TABLE" || !isName(list[2]) || list[3] != "(" {
		return false
	}
	depth, i := 1, 4
	for ; i < len(list) && depth > 0; i++ {
		switch word := list[i]; {
		case word == "(":
			depth++
		case word == ")":
			depth--
		case word == "-" && depth > 1:
			return false
		}
		if depth > 2 {
			return false
		}
	}
	return depth == 0 && !slices.ContainsFunc(list[i:], func(word string) bool {
		return !slices.Contains([]string{"STRICT", "WITHOUT", "ROWID", ","}, word)
	})
}

// plainIndex reports whether a statement makes an index of columns alone.
func plainIndex(statement string) bool {
	list, ok := words(statement)
	if ok && len(list) > 1 && list[1] == "UNIQUE" {
		list = slices.Delete(list, 1, 2)
	}
	if !ok || len(list) < 7 || list[0] != "CREATE" || list[1] != "INDEX" || !isName(list[2]) || list[3] != "ON" || !isName(list[4]) || list[5] != "(" || list[len(list)-1] != ")" {
		return false
	}
	return !slices.ContainsFunc(list[6:len(list)-1], func(word string) bool { return word != "," && !isName(word) })
}
