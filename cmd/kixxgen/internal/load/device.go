package load

// deviceNames are names that files cannot have on Windows, with any ending.
var deviceNames = set("con prn aux nul com0 com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9")

// collectionFile reports a collection whose sample documents would be in files that cannot be checked out on Windows.
func (l *loader) collectionFile(e *entity) {
	if deviceNames[e.collection] {
		l.at(e.pos(), "%s would have a sample document in testdata/kixx/%s.….json, and Windows has no files of that name; store it under another one: //kixx:entity name=…",
			e.name, e.collection)
	}
}
