// server/http/batch_task.h
//
// Many appends in one request: takes the body apart a slice at a time, has the engine carry the
// slice out, and sends its lines. The next slice begins once those are on their way, so what is
// under way is bounded, and so is what a client leaves unread; one that takes nothing is cut off by
// its connection. When a client goes, the server stops, or the batch's time is over, what was begun
// ends and no more begins.
//
//   kUnderWay ⇄ kDraining → kEnded
//
// Invariant: kUnderWay has one engine call or one posted function under way; kDraining neither.
// kEnded holds nothing of the body, and of a stream nothing is begun behind an append that came to
// no decision.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "lib/io/timer.h"
#include "server/http/exchange.h"
#include "server/http/stream_handler.h"
#include "server/protocol/append_batch.h"
#include "server/protocol/request_mapping.h"
#include "ursula/engine.h"

namespace ursula::http {

class BatchTask final : public Task {
 public:
  static constexpr std::size_t kSliceItemsMax = 256;
  static constexpr std::size_t kSliceBytesMax = 1 << 20;  // Of the body; one item at least.
  static constexpr std::size_t kUnsentBytesMax = 256 << 10;
  // A batch's time is so long, and what its answer takes at this pace.
  static constexpr uint64_t kTimeNs = 60'000'000'000;
  static constexpr uint64_t kAnswerBytesPerSecondMin = 16 << 10;

  // Takes the body out of the request.
  BatchTask(StreamContext* context, Exchange* exchange, protocol::AppendBatchAction action);

  void Start();

  void OnGone() override;
  void OnStopping() override;
  void OnDrained() override;

 private:
  enum class State : uint8_t { kUnderWay, kDraining, kEnded };

  void RunSlice();
  void ReadSlice();
  std::vector<AppendRequest> TakeAppends();
  void OnAppended(Result<AppendBatchReply> reply);
  void SendSlice();
  void AddLine(const protocol::Response& response);
  void OnTimer();
  uint64_t EndNs() const;
  void EndWithRest(const protocol::Response& response);
  void End();
  void Forget();

  StreamContext* const context_;
  Exchange* const exchange_;
  std::optional<protocol::BatchReader> reader_;  // Until kEnded.
  State state_ = State::kUnderWay;
  std::vector<protocol::BatchItem> slice_;
  std::vector<StreamId> asked_;               // Of those in the slice that the engine was asked.
  std::set<StreamId> undecided_;              // Of them something may still come.
  std::optional<protocol::Response> broken_;  // Of what stands behind the slice.
  uint64_t told_ = 0;                         // Items whose lines are made.
  std::string lines_;                         // Made and not yet sent.
  uint64_t sent_bytes_ = 0;
  bool at_end_ = false;
  bool streaming_ = false;
  uint64_t begun_ns_ = 0;
  io::Timer timer_;  // Runs in kDraining.
};

}  // namespace ursula::http
