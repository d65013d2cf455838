package sqlite

import (
	"slices"
	"strings"
)

// forbidden are the words that a plain schema does not have: they go before an
// expression that SQLite would evaluate, or a module that it would call.
var forbidden = []string{"GENERATED", "AS", "CHECK", "SELECT", "VIRTUAL", "WHERE"}

// words takes a statement apart: words and numbers, names in quotes as what is in
// them after a quote, and the signs ( ) , and -. It is not ok if there is anything
// else, or a forbidden word.
func words(statement string) (list []string, ok bool) {
	list = make([]string, 0, len(statement)/4) // those of NSS have a few hundred
	for statement = strings.TrimSpace(statement); statement != ""; statement = strings.TrimLeft(statement, " \t\r\n") {
		n := 0
		for n < len(statement) && isLetter(statement[n]) {
			n++
		}
		c := statement[0]
		switch open := strings.IndexByte(quotes, c); {
		case n > 0:
			if among(forbidden, statement[:n]) {
				return nil, false
			}
			list = append(list, statement[:n])
		case open >= 0:
			inner := strings.IndexByte(statement[1:], closing[open])
			if inner < 0 || strings.ContainsFunc(statement[1:1+inner], isOdd) {
				return nil, false
			}
			list = append(list, "'"+statement[1:1+inner])
			n = inner + 2
		case strings.IndexByte("(),-", c) >= 0 && !strings.HasPrefix(statement, "--"): // a comment
			list = append(list, statement[:1])
			n = 1
		default:
			return nil, false
		}
		statement = statement[n:]
	}
	return list, true
}

// quotes begin a name in quotes, and closing ends it.
const quotes, closing = "\"'`[", "\"'`]"

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

// isOdd reports whether a character is none of those that stand in quotes.
func isOdd(r rune) bool {
	return r >= 0x80 || !isLetter(byte(r)) && strings.IndexByte(" ,-", byte(r)) < 0
}

// among reports whether a word is one of the language's.
func among(keywords []string, word string) bool {
	return slices.ContainsFunc(keywords, func(k string) bool { return len(k) == len(word) && strings.EqualFold(k, word) })
}

// isName reports whether a word is a name or a type, in quotes or not.
func isName(word string) bool { return !strings.Contains("(),-", word) }

// plainTable reports whether a statement makes a table of names, types and
// constraints alone, and returns its columns in lower case: in the parentheses
// around them there are no others but around lists of names.
func plainTable(statement string) (columns []string, ok bool) {
	list, ok := words(statement)
	if !ok || len(list) < 5 || !among([]string{"CREATE"}, list[0]) || !among([]string{"TABLE"}, list[1]) || !isName(list[2]) || list[3] != "(" {
		return nil, false
	}
	depth, i := 1, 4
	for ; i < len(list) && depth > 0; i++ {
		word := list[i]
		switch {
		case word == "(":
			depth++
		case word == ")":
			depth--
		case word == "-" && depth > 1:
			return nil, false
		case depth == 1 && isName(word) && (list[i-1] == "," || i == 4) && !among(constraints, word):
			columns = append(columns, strings.ToLower(strings.TrimPrefix(word, "'")))
		}
		if depth > 2 {
			return nil, false
		}
	}
	return columns, depth == 0 && !slices.ContainsFunc(list[i:], func(word string) bool { return !among(afterTable, word) })
}

// constraints are the words that a constraint begins with that stands among the
// columns of a table; afterTable is what may follow them.
var (
	constraints = []string{"CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN"}
	afterTable  = []string{"STRICT", "WITHOUT", "ROWID", ","}
)

// plainIndex reports whether a statement makes an index of columns alone.
func plainIndex(statement string) bool {
	list, ok := words(statement)
	if ok && len(list) > 1 && among([]string{"UNIQUE"}, list[1]) {
		list = slices.Delete(list, 1, 2)
	}
	if !ok || len(list) < 7 || !among([]string{"CREATE"}, list[0]) || !among([]string{"INDEX"}, list[1]) || !isName(list[2]) ||
		!among([]string{"ON"}, list[3]) || !isName(list[4]) || list[5] != "(" || list[len(list)-1] != ")" {
		return false
	}
	return !slices.ContainsFunc(list[6:len(list)-1], func(word string) bool { return word != "," && !isName(word) })
}
