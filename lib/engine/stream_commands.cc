#include "lib/engine/stream_commands.h"

#include <utility>

#include "lib/stream/media_type.h"

namespace ursula::engine {
namespace {

// Owns itself until it has fired.
class Pause {
 public:
  Pause(io::Loop* loop, uint64_t delay_ns, Function<void()> function)
      : function_(std::move(function)) {
    loop->StartTimer(timer_.Then<&Pause::OnDue>(this), loop->now_ns() + delay_ns);
  }

 private:
  void OnDue() {
    Function<void()> function = std::move(function_);
    delete this;
    function();
  }

  Function<void()> function_;
  io::Timer timer_;
};

}  // namespace

stream::CreateStream StreamCommand(const CreateRequest& request, stream::Incarnation bucket) {
  stream::CreateStream create;
  create.id = request.stream;
  create.content_type = request.content_type;
  create.lifetime = request.lifetime;
  create.closed = request.closed;
  create.sequence = request.sequence;
  create.bucket_incarnation = bucket;
  return create;
}

stream::Framing FramingOf(std::string_view content_type) {
  return stream::IsJson(content_type) ? stream::Framing::kJson : stream::Framing::kConcatenated;
}

void RunLater(io::Loop* loop, uint64_t delay_ns, Function<void()> function) {
  new Pause(loop, delay_ns, std::move(function));
}

}  // namespace ursula::engine
