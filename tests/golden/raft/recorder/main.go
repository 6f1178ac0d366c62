// Command recorder records random histories of etcd raft v3.6 for the tests in the folder above to
// replay: snapshots in flight while terms change. README.md says how to run it.
package main

import (
	"crypto/rand"
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// noJitter stands in for the source of the reference's election jitter, which is 0 in recordings.
type noJitter struct{}

func (noJitter) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func main() {
	first := flag.Uint64("first", 1, "the first seed")
	count := flag.Uint64("count", 100, "how many seeds")
	out := flag.String("out", "", "the folder to write to")
	flag.Parse()
	if *out == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	rand.Reader = noJitter{}
	kept := 0
	refusals := map[string]int{}
	for seed := *first; seed < *first+*count; seed++ {
		text, crossings, refusal := record(seed)
		if refusal != "" {
			refusals[refusal]++
		}
		if crossings == 0 {
			continue // Another kind of history, of which there are others.
		}
		path := filepath.Join(*out, fmt.Sprintf("snapshots_%06d.txt", seed))
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		kept++
	}
	for refusal, times := range refusals {
		fmt.Printf("%d ended early: %s\n", times, refusal)
	}
	fmt.Printf("%d of %d seeds kept\n", kept, *count)
}
