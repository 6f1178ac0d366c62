package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
)

// history is one script in the making: each command is carried out by the reference at once, and
// written down with what it printed.
type history struct {
	cluster
	text        strings.Builder
	options     raft.Config // Of each node.
	optionsText string

	// crossings counts how often a term changed while a snapshot was in flight: handed out to a
	// node's storage and not yet durable, or sent and not yet delivered.
	crossings int
}

func newHistory(title string) *history {
	h := &history{options: raft.Config{
		ElectionTick: 3, HeartbeatTick: 1, MaxInflightMsgs: math.MaxInt32, MaxSizePerMsg: math.MaxUint64}}
	fmt.Fprintf(&h.text, "# %s\n", title)
	return h
}

// run does what the command says, and writes both down. It panics where the reference does; what
// was written before then is whole.
func (h *history) run(do func(), format string, values ...any) {
	before := h.snapshotsInFlight()
	h.out.Reset()
	do()
	h.countCrossings(before)
	out := h.out.String()
	if out == "" {
		out = "ok\n"
	}
	if strings.Contains(out, "\n\n") {
		panic("an empty line would end the expected output")
	}
	fmt.Fprintf(&h.text, format+"\n----\n", values...)
	h.text.WriteString(out + "\n")
}

func (h *history) set(text string, do func()) { h.run(do, "%s", text) }

// orError prints why a call was refused.
func (h *history) orError(err error) {
	if err != nil {
		h.line(err.Error())
	}
}

func (h *history) addVoters(voters, learners []uint64, index uint64) {
	snapshot := raftpb.Snapshot{Metadata: raftpb.SnapshotMetadata{
		Index: index, Term: 1, ConfState: raftpb.ConfState{Voters: voters, Learners: learners}}}
	arguments := fmt.Sprintf(" voters=(%s)", join(voters, ","))
	if len(learners) > 0 {
		arguments += fmt.Sprintf(" learners=(%s)", join(learners, ","))
	}
	count := len(voters) + len(learners)
	h.run(func() {
		for range count {
			h.addNode(h.options, snapshot)
		}
	}, "add-nodes %d%s index=%d%s", count, arguments, index, h.optionsText)
}

func (h *history) addBlankNode() {
	h.run(func() { h.addNode(h.options, raftpb.Snapshot{}) }, "add-nodes 1%s", h.optionsText)
}

func (h *history) campaign(id uint64) {
	h.run(func() { h.orError(h.node(id).Campaign()) }, "campaign %d", id)
}

func (h *history) proposeText(id uint64, text string) {
	h.run(func() { h.orError(h.node(id).Propose([]byte(text))) }, "propose %d %s", id, text)
}

// proposeChange proposes steps like "v1 l2 r3"; `form` is " v1=true", a transition, or nothing.
func (h *history) proposeChange(id uint64, form, steps string) {
	changes, err := raftpb.ConfChangesFromString(steps)
	check(err)
	var change raftpb.ConfChangeI
	if form == " v1=true" {
		change = raftpb.ConfChange{Type: changes[0].Type, NodeID: changes[0].NodeID}
	} else {
		transition := map[string]raftpb.ConfChangeTransition{
			"":                     raftpb.ConfChangeTransitionAuto,
			" transition=implicit": raftpb.ConfChangeTransitionJointImplicit,
			" transition=explicit": raftpb.ConfChangeTransitionJointExplicit,
		}[form]
		change = raftpb.ConfChangeV2{Transition: transition, Changes: changes}
	}
	if steps != "" {
		steps = "\n" + steps
	}
	h.run(func() { h.orError(h.node(id).ProposeConfChange(change)) },
		"propose-conf-change %d%s%s", id, form, steps)
}

// onEach carries out a command about several nodes.
func (h *history) onEach(command, heading string, ids []uint64, do func(id uint64)) {
	h.run(func() {
		if len(ids) == 1 {
			do(ids[0])
			return
		}
		for _, id := range ids {
			h.line(fmt.Sprintf("> %d %s", id, heading))
			h.indented(func() { do(id) })
		}
	}, "%s %s", command, join(ids, " "))
}

func (h *history) processReadies(ids ...uint64) {
	h.onEach("process-ready", "handling Ready", ids, h.processReady)
}

func (h *history) processAppends(ids ...uint64) {
	h.onEach("process-append-thread", "processing append thread", ids, h.processAppend)
}

func (h *history) processApplies(ids ...uint64) {
	h.onEach("process-apply-thread", "processing apply thread", ids, h.processApply)
}

func (h *history) deliverTo(kind string, ids ...uint64) {
	number, argument := raftpb.MessageType(-1), ""
	if kind != "" {
		number, argument = raftpb.MessageType(raftpb.MessageType_value[kind]), " type="+kind
	}
	h.run(func() { h.deliverAll(ids, number, false) }, "deliver-msgs %s%s", join(ids, " "), argument)
}

func (h *history) dropTo(ids ...uint64) {
	h.run(func() { h.deliverAll(ids, -1, true) }, "deliver-msgs drop=(%s)", join(ids, ","))
}

func (h *history) deliverAll(ids []uint64, kind raftpb.MessageType, drop bool) {
	count := 0
	for _, id := range ids {
		count += h.deliver(id, kind, drop)
	}
	if count == 0 {
		h.line("no messages")
	}
}

func (h *history) stabilizeOnly(quiet bool, ids ...uint64) {
	argument := ""
	if quiet {
		argument = " log-level=none"
	}
	h.run(func() {
		h.quiet = quiet
		h.stabilize(ids)
		h.quiet = false
	}, "stabilize %s%s", join(ids, " "), argument)
}

func (h *history) tick(command string, id uint64, ticks int) {
	h.run(func() {
		for range ticks {
			h.node(id).Tick()
		}
	}, "%s %d", command, id)
}

func (h *history) transferLeadership(from, to uint64) {
	h.run(func() { h.node(from).TransferLeader(to) }, "transfer-leadership from=%d to=%d", from, to)
}

func (h *history) forgetLeader(id uint64) {
	h.run(func() { h.orError(h.node(id).ForgetLeader()) }, "forget-leader %d", id)
}

func (h *history) compactTo(id, index uint64) {
	h.run(func() {
		check(h.node(id).log.Compact(index))
		h.printLog(id)
	}, "compact %d %d", id, index)
}

func (h *history) sendSnapshot(from, to uint64) {
	h.run(func() {
		snapshot, err := h.node(from).log.Snapshot()
		check(err)
		m := raftpb.Message{Type: raftpb.MsgSnap, Term: h.node(from).BasicStatus().Term,
			From: from, To: to, Snapshot: &snapshot}
		h.line(raft.DescribeMessage(m, quoted))
		h.messages = append(h.messages, m)
	}, "send-snapshot %d %d", from, to)
}

func (h *history) reportSnapshot(from, to uint64, installed bool) {
	how, status := "failed", raft.SnapshotFailure
	if installed {
		how, status = "ok", raft.SnapshotFinish
	}
	h.run(func() { h.node(from).ReportSnapshot(to, status) }, "report-snapshot %d %d %s", from, to, how)
}

func (h *history) reportUnreachable(from, to uint64) {
	h.run(func() { h.node(from).ReportUnreachable(to) }, "report-unreachable %d %d", from, to)
}

func (h *history) readIndex(id uint64, context string) {
	h.run(func() { h.node(id).ReadIndex([]byte(context)) }, "read-index %d %s", id, context)
}

func (h *history) crash(id uint64) { h.run(func() { h.restart(id) }, "restart %d", id) }

func (h *history) showLog(id uint64) { h.run(func() { h.printLog(id) }, "raft-log %d", id) }

func (h *history) showState() {
	h.run(func() {
		for _, n := range h.nodes {
			s := n.Status()
			vote := "Non-Voter"
			if _, ok := s.Config.Voters.IDs()[s.ID]; ok {
				vote = "Voter"
			}
			h.line(fmt.Sprintf("%d: %s (%s) Term:%d Lead:%d", s.ID, s.RaftState, vote, s.Term, s.Lead))
		}
	}, "raft-state")
}

func (h *history) showProgress(id uint64) {
	h.run(func() {
		peers := tracker.ProgressMap{}
		for peer, progress := range h.node(id).Status().Progress {
			peers[peer] = &progress
		}
		if len(peers) > 0 {
			h.line(peers.String())
		}
	}, "status %d", id)
}

// writesSnapshot says whether a snapshot waits for a node's append thread.
func (h *history) writesSnapshot(id uint64) bool {
	return slices.ContainsFunc(h.node(id).appends, func(m raftpb.Message) bool {
		return m.Snapshot != nil && !raft.IsEmptySnap(*m.Snapshot)
	})
}

// receivesSnapshot says whether a snapshot is under way to a node.
func (h *history) receivesSnapshot(id uint64) bool {
	return slices.ContainsFunc(h.messages, func(m raftpb.Message) bool {
		return m.Type == raftpb.MsgSnap && m.To == id
	})
}

// snapshotsInFlight maps each node that writes or is sent a snapshot to its term.
func (h *history) snapshotsInFlight() map[uint64]uint64 {
	terms := map[uint64]uint64{}
	for _, id := range h.ids() {
		if h.writesSnapshot(id) || h.receivesSnapshot(id) {
			terms[id] = h.node(id).BasicStatus().Term
		}
	}
	return terms
}

func (h *history) countCrossings(before map[uint64]uint64) {
	for id, term := range before {
		still := h.writesSnapshot(id) || h.receivesSnapshot(id)
		if still && h.node(id).BasicStatus().Term > term {
			h.crossings++
		}
	}
}
