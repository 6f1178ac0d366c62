// server/protocol/append_batch.h
//
// Many appends in one request (docs/PROTOCOL.md, "Batches"). The body is lines, each a JSON object
// that says of one append what its path, headers and body would say alone; its content stands in
// the line, or as raw bytes behind it. The answer is a line for each, in the same order.
//
// Invariant: an item means what the request made of its path, headers and body would, and is
// answered as that would be: both go through MapAppend and MapAppendReply.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "server/protocol/config.h"
#include "server/protocol/http_message.h"
#include "server/protocol/request_mapping.h"
#include "ursula/bytes.h"

namespace ursula::protocol {

// One append: what to ask the engine, or why that needn't be.
using BatchItem = std::variant<Response, AppendAction>;

// Takes a body apart, as far as it is asked to.
class BatchReader {
 public:
  static constexpr std::size_t kEmptyBytesMax = 1 << 18;  // Passed over in one Next.

  enum class Step : uint8_t {
    kItem,
    kMore,    // Ask again: so far there were empty lines.
    kEnd,     // There are no more.
    kBroken,  // What follows is none of it carried out: the item is why.
  };

  // `config` is borrowed.
  BatchReader(const ProtocolConfig* config, std::string bucket, Bytes body)
      : config_(config), bucket_(std::move(bucket)), body_(std::move(body)) {
    request_.method = Method::kPost;
  }

  // Not after kEnd or kBroken.
  Step Next(BatchItem* item);
  uint64_t index() const { return count_; }  // Of the item that Next would give.
  std::size_t at() const { return at_; }     // Bytes taken.

 private:
  struct Fields;

  Step Broken(std::string_view why, BatchItem* item) const;
  Step TakeLine(Bytes* line);
  bool ReadFields(const Bytes& line, Fields* fields);
  void TakeField(std::string_view name, const Bytes& value, Fields* fields);
  void TakeText(std::string_view name, const Bytes& value, Fields* fields);
  void TakeHeaderField(std::string_view name, const Bytes& value, Fields* fields);
  BatchItem Map(Fields* fields);

  const ProtocolConfig* const config_;
  const std::string bucket_;
  const Bytes body_;
  std::size_t at_ = 0;
  uint64_t count_ = 0;
  Request request_;  // That an item stands for; kept for its memory.
};

// Appends the line of one item, whose answer alone would be `response`.
void AppendBatchLine(std::string* out, uint64_t index, const Response& response);
// The last line: it is of the item `index` and of all that follow. None of them was carried out.
void AppendBatchRest(std::string* out, uint64_t index, const Response& response);

Response BatchHead();           // 200, for lines.
Response EmptyBatchResponse();  // 400

// Of the rest of a batch, which isn't begun. 503, with Retry-After.
Response LateBatchResponse(const ProtocolConfig& config);
Response StoppedBatchResponse(const ProtocolConfig& config);

}  // namespace ursula::protocol
