package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"github.com/kixxgen/kixxgen/cmd/kixxgen/internal/load"
	"github.com/kixxgen/kixxgen/internal/hint"
)

// about is what kixxgen --help begins with.
const about = `Kixxgen generates typed repositories for annotated Go structs, and looks into the files that they keep.

    kixxgen init shop                    a module to begin with, which runs
    kixxgen ./...                        write the generated files of all packages
    kixxgen check ./...                  are they fresh?
    kixxgen describe                     what is stored, and which index finds what
    kixxgen data query ./data item       look into a database

The manual: go doc github.com/kixxgen/kixxgen/cmd/kixxgen`

// asked returns the arguments with a leading help as --help behind the command that it asks for.
func asked(args []string) []string {
	if len(args) > 0 && args[0] == "help" {
		return append(args[1:len(args):len(args)], "--help")
	}
	return args
}

// misused returns what was wrong with the arguments, as kong says it, and where there is help.
func misused(parser *kong.Kong, err error) string {
	command := "kixxgen"
	var wrong *kong.ParseError
	if errors.As(err, &wrong) && wrong.Context != nil {
		for _, step := range wrong.Context.Path {
			if step.Command != nil && (step.Command != parser.Model.DefaultCmd) {
				command += " " + step.Command.Name
			}
		}
	}
	text := err.Error()
	if missing, ok := strings.CutPrefix(text, "expected "); ok {
		text = "expected " + strings.NewReplacer(`"`, "", "<", "", ">", "").Replace(strings.ToUpper(missing))
		if strings.HasPrefix(missing, "one of") {
			text = "expected a command: " + children(wrong)
		}
	}
	return fmt.Sprintf("%s: %s\nRun %s --help for usage.\n", command, text, command)
}

// children returns the names of the commands below the one that was given.
func children(wrong *kong.ParseError) string {
	var names []string
	path := wrong.Context.Path
	for _, child := range path[len(path)-1].Node().Children {
		names = append(names, child.Name)
	}
	return strings.Join(names, ", ")
}

// noPackage matches what go list says of a word that is no package.
var noPackage = regexp.MustCompile(`^package (\S+) is not in std`)

// explained returns the error of loading packages: a word that go takes for a package may be a command that was misspelt, or
// a directory without ./ before it.
func (s *selection) explained(env environment, err error) error {
	var problems load.Problems
	if !errors.As(err, &problems) {
		return err
	}
	for i, p := range problems {
		m := noPackage.FindStringSubmatch(p.Text)
		if m == nil || p.File != "" {
			continue
		}
		word := m[1]
		if info, err := os.Stat(filepath.Join(env.dir, word)); err == nil && info.IsDir() {
			problems[i].Text += fmt.Sprintf("; did you mean ./%s?", word)
			continue
		}
		if word == s.Packages[0] {
			if like := hint.Like(word, "generate", "check", "describe", "init", "data", "version", "help"); like != "" {
				return usage("%q is neither a command nor a package; did you mean %q?", word, like)
			}
		}
	}
	return problems
}
