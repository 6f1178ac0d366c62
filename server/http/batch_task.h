// server/http/batch_task.h
//
// Many appends in one request: takes the body apart a slice at a time, has the engine carry the
// slice out, and sends its lines. The next slice begins once those are on their way, so what is
// under way is bounded, and so is what a client leaves unread; one that takes nothing is cut off by
// its connection. When a client goes, or the server stops, what was begun ends and no more begins.
//
//   kUnderWay ⇄ kDraining → kEnded
//
// Invariant: kUnderWay has one engine call or one posted function under way; kDraining neither.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

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

  BatchTask(StreamContext* context, Exchange* exchange, protocol::AppendBatchAction action);

  void Start();

  void OnGone() override;
  void OnDrained() override;

 private:
  enum class State : uint8_t { kUnderWay, kDraining, kEnded };

  void RunSlice();
  void ReadSlice();
  void OnAppended(Result<AppendBatchReply> reply);
  void SendSlice();
  void AddLine(const protocol::Response& response);
  void EndWithRest(const protocol::Response& response);
  void End();

  StreamContext* const context_;
  Exchange* const exchange_;
  protocol::BatchReader reader_;
  State state_ = State::kUnderWay;
  std::vector<protocol::BatchItem> slice_;
  std::optional<protocol::Response> broken_;  // Of what stands behind the slice.
  uint64_t told_ = 0;                         // Items whose lines are made.
  std::string lines_;                         // Made and not yet sent.
  bool at_end_ = false;
  bool streaming_ = false;
};

}  // namespace ursula::http
