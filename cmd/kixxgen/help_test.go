package main

import (
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// Every command shows how it is called, with the name that it has.
func TestEveryCommandHasAnExampleInItsHelp(t *testing.T) {
	parser, err := kong.New(&commands{}, kong.Name("kixxgen"))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, command := range parser.Model.Leaves(false) {
		n++
		name := strings.TrimPrefix(command.Path(), "generate")
		if !strings.Contains(command.Detail, "\n    kixxgen "+name) && (name != "" || !strings.Contains(command.Detail, "\n    kixxgen\n")) {
			t.Errorf("the help of %s has no example: %q", command.Path(), command.Detail)
		}
	}
	if n < 15 {
		t.Errorf("%d commands, want all of them", n)
	}
}

func TestHelpOfACommandIsAskedForInEitherWay(t *testing.T) {
	for _, test := range [][2]string{
		{"help", "--help"}, {"help check", "check --help"}, {"help data dump", "data dump --help"},
		{"check help", "check help"}, {"", ""}, {"./help", "./help"},
	} {
		if got := strings.Join(asked(strings.Fields(test[0])), " "); got != test[1] {
			t.Errorf("asked(%q) = %q, want %q", test[0], got, test[1])
		}
	}
}
