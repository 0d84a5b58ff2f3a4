// Package structs puts the structs of other people into entities: those of the standard library and of modules that
// applications use. Its test generates repositories for them, lists which cannot be stored and why, and stores random values
// of all the others. It is a module of its own for what it needs.
package structs
