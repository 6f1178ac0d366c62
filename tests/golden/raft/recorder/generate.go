package main

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
)

const nodesMax = 6

// generator chooses the commands of one history by what its nodes are doing.
type generator struct {
	*history
	random    *rand.Rand
	cut       map[uint64]bool // Nodes that hear of nobody.
	proposals int
	reads     int
}

// record makes the history of a seed, up to where the reference refuses to go on if it does:
// `refusal` says why.
func record(seed uint64) (text string, crossings int, refusal string) {
	g := &generator{
		history: newHistory(fmt.Sprintf("random history with snapshots, seed %d, etcd raft v3.6.0", seed)),
		random:  rand.New(rand.NewPCG(seed*0x9e3779b97f4a7c15, seed)),
		cut:     map[uint64]bool{},
	}
	defer func() {
		if why := recover(); why != nil { // No voter is left, say. What was recorded before holds.
			text, crossings, refusal = g.text.String(), g.crossings, fmt.Sprint(why)
		}
	}()
	g.begin()
	for steps := 15 + g.random.IntN(30); steps > 0; steps-- {
		g.step()
	}
	g.end()
	return g.text.String(), g.crossings, ""
}

func (g *generator) chance(percent int) bool { return g.random.IntN(100) < percent }

func pick[T any](g *generator, from []T) T { return from[g.random.IntN(len(from))] }

func join(ids []uint64, separator string) string {
	var words []string
	for _, id := range ids {
		words = append(words, fmt.Sprint(id))
	}
	return strings.Join(words, separator)
}

func (g *generator) begin() {
	g.set("log-level warn", func() {})
	g.set("config snapshots-enter-history=true", func() {})
	if g.chance(25) {
		g.set("config max-size-per-msg=1", func() { g.options.MaxSizePerMsg = 1 })
	}
	for _, option := range []struct {
		percent int
		text    string
		set     func(c *raft.Config)
	}{
		{80, "async-storage-writes=true", func(c *raft.Config) { c.AsyncStorageWrites = true }},
		{40, "prevote=true", func(c *raft.Config) { c.PreVote = true }},
		{40, "checkquorum=true", func(c *raft.Config) { c.CheckQuorum = true }},
		{25, "inflight=2", func(c *raft.Config) { c.MaxInflightMsgs = 2 }},
		{25, "max-committed-size-per-ready=1", func(c *raft.Config) { c.MaxCommittedSizePerReady = 1 }},
		{20, "step-down-on-removal=true", func(c *raft.Config) { c.StepDownOnRemoval = true }},
	} {
		if g.chance(option.percent) {
			g.optionsText += " " + option.text
			option.set(&g.options)
		}
	}
	voters, learners := []uint64{1, 2, 3, 4}[:3+g.random.IntN(2)], []uint64(nil)
	if g.chance(40) {
		learners = []uint64{uint64(len(voters) + 1)}
	}
	g.addVoters(voters, learners, 2+g.random.Uint64N(9))
	g.campaign(1)
	g.stabilizeOnly(true, g.ids()...)
}

func (g *generator) end() {
	g.showState()
	for _, id := range g.ids() {
		g.showLog(id)
	}
	g.showProgress(g.leader())
}

func (g *generator) where(holds func(id uint64) bool) []uint64 {
	var found []uint64
	for _, id := range g.ids() {
		if holds(id) {
			found = append(found, id)
		}
	}
	return found
}

func (g *generator) peer(of uint64) uint64 {
	return pick(g, g.where(func(id uint64) bool { return id != of }))
}

func (g *generator) reachable() []uint64 {
	return g.where(func(id uint64) bool { return !g.cut[id] })
}

// leader is the leader of the highest term, or any node where there is none.
func (g *generator) leader() uint64 {
	best, term := pick(g, g.ids()), uint64(0)
	for _, id := range g.ids() {
		if s := g.node(id).BasicStatus(); s.RaftState == raft.StateLeader && s.Term > term {
			best, term = id, s.Term
		}
	}
	return best
}

func (g *generator) mostlyLeader() uint64 {
	if g.chance(85) {
		return g.leader()
	}
	return pick(g, g.ids())
}

type weight struct {
	of int
	do func()
}

func (g *generator) weighted(choices []weight) {
	sum := 0
	for _, c := range choices {
		sum += c.of
	}
	at := g.random.IntN(sum)
	for _, c := range choices {
		if at -= c.of; at < 0 {
			c.do()
			return
		}
	}
}

func (g *generator) step() {
	if writing := g.where(g.writesSnapshot); len(writing) > 0 && g.chance(60) {
		g.crossTerm(pick(g, writing))
		return
	}
	if receiving := g.where(g.receivesSnapshot); len(receiving) > 0 && g.chance(50) {
		g.nearSnapshot(pick(g, receiving))
		return
	}
	g.weighted([]weight{
		{10, g.leaveBehind}, {10, g.advance}, {4, g.propose}, {3, g.change}, {2, g.join},
		{3, func() { g.cut[pick(g, g.ids())] = true }},
		{3, func() { clear(g.cut) }},
		{3, g.drop}, {5, g.deliverSome}, {2, g.settle},
		{6, func() { g.onSome(g.hasReady, g.processReadies) }},
		{5, func() { g.onSome(g.hasAppends, g.processAppends) }},
		{5, func() { g.onSome(g.hasApplies, g.processApplies) }},
		{6, g.beat},
		{2, func() { g.tick("tick-election", pick(g, g.ids()), 3) }},
		{2, func() { g.campaign(pick(g, g.ids())) }},
		{1, func() { g.transferLeadership(g.mostlyLeader(), pick(g, g.ids())) }},
		{1, func() { g.forgetLeader(pick(g, g.ids())) }},
		{3, g.compact}, {3, g.send}, {1, g.report}, {2, g.read}, {1, g.look},
		{2, func() { g.maybeRestart(pick(g, g.ids())) }},
		{1, func() { from := g.mostlyLeader(); g.reportUnreachable(from, g.peer(from)) }},
	})
}

// crossTerm lets something happen while a node writes a snapshot: most often a new term.
func (g *generator) crossTerm(id uint64) {
	g.weighted([]weight{
		{9, func() { g.newTerm(id) }},
		{6, func() { g.deliverTo("", id) }},
		{6, func() { g.processReadies(id) }},
		{4, func() { g.processAppends(id) }},
		{1, func() { g.tick("tick-election", id, 3) }},
		{1, func() { g.maybeRestart(id) }},
		{4, g.advance}, {2, g.propose}, {1, g.beat}, {2, g.report}, {1, g.change}, {1, g.send},
		{1, g.compact},
	})
}

// newTerm elects somebody among the others, and most often the node hears of it.
func (g *generator) newTerm(id uint64) {
	others := g.where(func(other uint64) bool { return other != id && !g.cut[other] })
	if len(others) == 0 {
		return
	}
	if leader, next := g.leader(), pick(g, others); g.chance(50) {
		g.campaign(next)
	} else { // Leases don't hold this one up.
		g.transferLeadership(leader, next)
	}
	g.stabilizeOnly(g.chance(50), others...)
	if g.chance(80) {
		g.maybe(g.hasMessages, id, func() { g.deliverTo("", id) })
		g.maybe(g.hasReady, id, func() { g.processReadies(id) })
	}
}

// nearSnapshot lets something happen while a snapshot is under way to a node.
func (g *generator) nearSnapshot(id uint64) {
	g.weighted([]weight{
		{8, func() {
			g.deliverTo("MsgSnap", id)
			g.maybe(g.hasReady, id, func() { g.processReadies(id) })
		}},
		{4, func() { g.deliverTo("", id) }},
		{3, func() { g.newTerm(id) }},
		{1, func() { g.dropTo(id) }},
		{2, g.report}, {2, g.propose}, {1, g.beat}, {1, g.compact}, {1, g.settle},
		{1, func() { g.transferLeadership(g.mostlyLeader(), pick(g, g.ids())) }},
	})
}

func (g *generator) propose() {
	at := g.mostlyLeader()
	for range 1 + g.random.IntN(3) {
		g.proposals++
		g.proposeText(at, fmt.Sprintf("p%d", g.proposals))
	}
}

func (g *generator) change() {
	if g.chance(15) {
		g.proposeChange(g.mostlyLeader(), "", "") // Leaves a joint configuration.
		return
	}
	var steps []string
	for range 1 + g.random.IntN(2) {
		steps = append(steps, fmt.Sprintf("%c%d", "vvlr"[g.random.IntN(4)], pick(g, g.ids())))
	}
	form := pick(g, []string{"", "", " transition=implicit", " transition=explicit"})
	if len(steps) == 1 && g.chance(30) {
		form = " v1=true"
	}
	g.proposeChange(g.mostlyLeader(), form, strings.Join(steps, " "))
}

// join makes a node that knows nothing, and so needs a snapshot.
func (g *generator) join() {
	if len(g.nodes) < nodesMax {
		g.addBlankNode()
		g.proposeChange(g.leader(), " v1=true", fmt.Sprintf("%c%d", "vl"[g.random.IntN(2)], len(g.nodes)))
	}
}

// leaveBehind makes a node lack entries that the leader has no more, so that it is sent a snapshot.
func (g *generator) leaveBehind() {
	leader := g.leader()
	behind := g.peer(leader)
	delete(g.cut, leader)
	delete(g.cut, behind)
	g.propose()
	others := g.where(func(id uint64) bool { return id != behind && !g.cut[id] })
	g.stabilizeOnly(g.chance(50), others...)
	g.dropTo(behind)
	if first, _ := g.node(leader).log.bounds(); g.compactable(leader) >= first {
		g.compactTo(leader, g.compactable(leader))
	}
	g.beat()
	for rounds := 2 + g.random.IntN(7); rounds > 0 && !g.writesSnapshot(behind); rounds-- {
		g.round([]uint64{leader, behind})
	}
	if g.writesSnapshot(behind) && g.chance(60) {
		g.newTerm(behind)
	}
}

// compactable is the last entry that a node has applied, and so may forget.
func (g *generator) compactable(id uint64) uint64 {
	_, last := g.node(id).log.bounds()
	return min(g.node(id).BasicStatus().Applied, last)
}

func (g *generator) compact() {
	id := g.mostlyLeader()
	if first, _ := g.node(id).log.bounds(); g.compactable(id) >= first {
		g.compactTo(id, first+g.random.Uint64N(g.compactable(id)-first+1))
	}
}

// advance goes once around the nodes that are not cut off, and leaves snapshots being written.
func (g *generator) advance() { g.round(g.reachable()) }

func (g *generator) round(ids []uint64) {
	for _, id := range ids {
		g.maybe(g.hasReady, id, func() { g.processReadies(id) })
		g.maybe(g.hasMessages, id, func() { g.deliverTo("", id) })
		if !g.writesSnapshot(id) {
			g.maybe(g.hasAppends, id, func() { g.processAppends(id) })
		}
		g.maybe(g.hasApplies, id, func() { g.processApplies(id) })
	}
}

func (g *generator) maybe(holds func(id uint64) bool, id uint64, do func()) {
	if holds(id) {
		do()
	}
}

func (g *generator) onSome(holds func(id uint64) bool, do func(ids ...uint64)) {
	if some := g.where(func(id uint64) bool { return holds(id) && g.chance(60) }); len(some) > 0 {
		do(some...)
	}
}

func (g *generator) drop() {
	lost := g.where(func(id uint64) bool { return g.cut[id] })
	if len(lost) == 0 {
		lost = []uint64{pick(g, g.ids())}
	}
	g.dropTo(lost...)
}

func (g *generator) deliverSome() {
	kind := ""
	if g.chance(20) {
		kind = pick(g, []string{"MsgApp", "MsgAppResp", "MsgHeartbeat", "MsgHeartbeatResp", "MsgSnap",
			"MsgVote", "MsgVoteResp", "MsgStorageAppendResp"})
	}
	g.onSome(func(id uint64) bool { return !g.cut[id] }, func(ids ...uint64) { g.deliverTo(kind, ids...) })
}

func (g *generator) settle() {
	if ids := g.reachable(); len(ids) > 0 {
		g.stabilizeOnly(false, ids...)
	}
}

func (g *generator) beat() { g.tick("tick-heartbeat", g.mostlyLeader(), 1) }

func (g *generator) send() {
	from := g.leader()
	snapshot, err := g.node(from).log.Snapshot()
	check(err)
	if g.node(from).BasicStatus().RaftState == raft.StateLeader && !raft.IsEmptySnap(snapshot) {
		g.sendSnapshot(from, g.peer(from))
	}
}

// report tells a node how a snapshot fared, most often one that it waits for.
func (g *generator) report() {
	from := g.mostlyLeader()
	to := g.peer(from)
	progress := g.node(from).Status().Progress
	if waits := g.where(func(id uint64) bool { return progress[id].PendingSnapshot != 0 }); len(waits) > 0 {
		to = pick(g, waits)
	}
	g.reportSnapshot(from, to, g.chance(50))
}

func (g *generator) read() {
	g.reads++
	g.readIndex(g.mostlyLeader(), fmt.Sprintf("r%d", g.reads))
}

// maybeRestart leaves a node alone whose storage doesn't know the configuration where its log
// begins: compacting it kept no snapshot.
func (g *generator) maybeRestart(id uint64) {
	first, _ := g.node(id).log.bounds()
	_, stored, err := g.node(id).log.InitialState()
	check(err)
	at := slices.IndexFunc(g.node(id).log.states, func(s raftpb.Snapshot) bool {
		return s.Metadata.Index == first-1
	})
	if at >= 0 && reflect.DeepEqual(g.node(id).log.states[at].Metadata.ConfState, stored) {
		g.crash(id)
	}
}

func (g *generator) look() {
	switch g.random.IntN(3) {
	case 0:
		g.showState()
	case 1:
		g.showProgress(g.leader())
	default:
		g.showLog(pick(g, g.ids()))
	}
}
