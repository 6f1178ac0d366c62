#include "lib/peers/hub.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "lib/peers/frame_format.h"

namespace ursula::peers {
namespace {

// Of all records of one frame. A hub writes one for each two replicas and turn.
constexpr std::size_t kFrameBeatsMax = 4 * kBeatsMax;

}  // namespace
namespace {

constexpr int kCoreBits = 10;

// No other hub of this process has it, nor, most likely, one of another process of this node.
uint64_t LineOf(uint64_t opening, CoreId core) {
  return opening >> 32 << kCoreBits | (Raw(core) & ((1u << kCoreBits) - 1));
}

}  // namespace

Hub::Hub(io::Loop* loop, Transport* transport, Receiver* receiver, const HubOptions& options)
    : loop_(*loop),
      transport_(*transport),
      receiver_(*receiver),
      options_(options),
      line_(LineOf(options.opening, loop->core())) {
  transport_.Attach(loop_.core(), this);
}

Hub::~Hub() {
  transport_.Detach(loop_.core());
  if (linked()) Unlink();
}

bool Hub::Send(NodeId to, GroupId group, Channel channel, ByteParts&& letter, uint64_t token) {
  Outbox& outbox = PeerOf(to).outboxes[static_cast<std::size_t>(channel)];
  const uint64_t size = letter.size() + kLetterHeadBytesMax;
  // The last one may go beyond: one larger than the window must leave some time, too.
  if (outbox.bytes >= options_.window_bytes_max) {
    ++stats_.dropped_letters;
    return false;
  }
  outbox.bytes += size;
  stats_.waiting_bytes += size;
  outbox.letters.push_back({group, token, std::move(letter)});
  loop_.AtTurnEnd(this);
  return true;
}

void Hub::SendBeat(ReplicaId from, ReplicaId to, const Beat& beat) {
  const NodeId node = NodeOf(to);
  Peer& peer = PeerOf(node);
  Beats& record = peer.beats[{from, to}];
  record.from = from;
  record.to = to;
  record.beats.push_back(beat);
  if (record.beats.size() == kBeatsMax) WriteRecord(node, &peer, &record);
  loop_.AtTurnEnd(this);
}

void Hub::WriteBeats(NodeId to, Peer* peer) {
  for (auto& [pair, record] : peer->beats) WriteRecord(to, peer, &record);
  peer->beats.clear();
}

void Hub::WriteRecord(NodeId to, Peer* peer, Beats* record) {
  if (record->beats.empty()) return;
  ByteParts letter;
  letter.Put(Bytes::Take(peer->said.Write(EncodeBeats(record))));
  record->beats.clear();
  if (!Send(to, kBeatsGroup, Channel::kControl, std::move(letter))) peer->said.Forget();
}

bool Hub::Withdraw(NodeId to, Channel channel, uint64_t token) {
  Outbox& outbox = PeerOf(to).outboxes[static_cast<std::size_t>(channel)];
  auto found = std::ranges::find(outbox.letters, token, &Pending::token);
  if (found == outbox.letters.end()) return false;
  const uint64_t size = found->letter.size() + kLetterHeadBytesMax;
  outbox.bytes -= size;
  stats_.waiting_bytes -= size;
  outbox.letters.erase(found);
  return true;
}

void Hub::OnTurnEnd() {
  for (auto& [peer, state] : peers_) {
    WriteBeats(peer, &state);
    for (std::size_t i = 0; i < state.outboxes.size(); ++i) {
      Flush(peer, static_cast<Channel>(i), &state.outboxes[i]);
    }
  }
}

void Hub::Flush(NodeId to, Channel channel, Outbox* outbox) {
  while (!outbox->full && (!outbox->frame.empty() || !outbox->letters.empty())) {
    if (outbox->frame.empty()) outbox->frame = NextFrame(outbox);
    uint64_t bytes = 0;
    for (const Bytes& part : outbox->frame) bytes += part.size();
    switch (transport_.Send(loop_.core(), to, channel, outbox->frame)) {
      case SendOutcome::kTaken:
        ++stats_.sent_frames;
        stats_.sent_bytes += bytes;
        stats_.sent_letters += outbox->frame_letters.size();
        outbox->frame.clear();
        break;
      case SendOutcome::kFull:
        outbox->full = true;
        break;
      case SendOutcome::kUnreachable:
        PeerOf(to).said.Forget();
        return Drop(to, outbox);
    }
  }
}

// As many letters as fit; a larger one goes alone.
std::vector<Bytes> Hub::NextFrame(Outbox* outbox) {
  ByteParts letters;
  outbox->frame_letters.clear();
  const uint64_t bytes_max = transport_.frame_bytes_wanted();
  while (!outbox->letters.empty()) {
    Pending& next = outbox->letters.front();
    const uint64_t size = next.letter.size() + kLetterHeadBytesMax;
    if (letters.size() > 0 && letters.size() + size > bytes_max) break;
    outbox->bytes -= size;
    stats_.waiting_bytes -= size;
    outbox->frame_letters.push_back({next.group, next.token});
    PutLetter(next.group, std::move(next.letter), &letters);
    outbox->letters.pop_front();
  }
  return FinishFrame(std::move(letters), options_.cluster_id);
}

void Hub::Drop(NodeId to, Outbox* outbox) {
  Outbox dropped = std::exchange(*outbox, Outbox());
  stats_.waiting_bytes -= dropped.bytes;
  // A frame that was refused is still here; one that was taken may have arrived.
  if (dropped.frame.empty()) dropped.frame_letters.clear();
  for (const Pending& letter : dropped.letters) {
    dropped.frame_letters.push_back({letter.group, letter.token});
  }
  stats_.dropped_letters += dropped.frame_letters.size();
  for (const Token& one : dropped.frame_letters) receiver_.OnDropped(to, one.group, one.token);
}

void Hub::OnFrame(NodeId from, Channel /*channel*/, Bytes frame) {
  if (!frame.empty() && static_cast<uint8_t>(frame.data()[0]) >= kOtherFrame) {
    return receiver_.OnOtherFrame(from, std::move(frame));
  }
  std::optional<std::vector<Letter>> letters = ParseFrame(frame, options_.cluster_id);
  if (!letters) {
    ++stats_.bad_frames;
    return;
  }
  std::size_t beats = 0;  // A few bytes may say thousands again.
  for (Letter& letter : *letters) {
    if (letter.group == kBeatsGroup && beats >= kFrameBeatsMax) {
      ++stats_.unknown_beats;
    } else if (letter.group == kBeatsGroup) {
      beats += OnRecord(from, letter.body);
    } else {
      receiver_.OnLetter(from, letter.group, std::move(letter.body));
    }
  }
}

std::size_t Hub::OnRecord(NodeId from, const Bytes& letter) {
  Beats beats;
  const HeardBeats::Heard heard = PeerOf(from).heard.Read(letter.view(), &beats);
  const std::size_t count = beats.beats.size();
  if (heard == HeardBeats::Heard::kUnknown) {
    ++stats_.unknown_beats;
  } else if (heard == HeardBeats::Heard::kMalformed || NodeOf(beats.from) != from) {
    ++stats_.bad_frames;
  } else {
    receiver_.OnBeats(std::move(beats));
  }
  return count;
}

void Hub::OnRoom(NodeId to, Channel channel) {
  Outbox& outbox = PeerOf(to).outboxes[static_cast<std::size_t>(channel)];
  outbox.full = false;
  Flush(to, channel, &outbox);
}

void Hub::OnLost(NodeId peer, bool ended) {
  Peer& lost = PeerOf(peer);
  for (Outbox& outbox : lost.outboxes) Drop(peer, &outbox);
  lost.beats.clear();
  lost.said.Forget();
  lost.heard.Forget();
  receiver_.OnPeerLost(peer, ended);
}

}  // namespace ursula::peers
