// A request on its way through the engine. Owned by the scheduler, used by the engine's thread alone.
#ifndef MODELC_CORE_RUNTIME_ENGINE_SEQUENCE_H_
#define MODELC_CORE_RUNTIME_ENGINE_SEQUENCE_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/runtime/engine.h"
#include "core/runtime/engine/sampler.h"

namespace modelc {

struct Sequence {
  // `max_tokens` is resolved (above 0), `seed` drawn.
  Sequence(uint64_t id, GenerateRequest request, int64_t max_tokens, uint64_t seed)
      : id(id),
        tokens(std::move(request.prompt)),
        prompt_tokens(static_cast<int64_t>(tokens.size())),
        max_tokens(max_tokens),
        stop_ids(std::move(request.stop_ids)),
        cache_salt(std::move(request.cache_salt)),
        on_token(std::move(request.on_token)),
        sampler(std::move(request.sampling), seed, tokens, std::move(request.constraint)) {}

  int64_t size() const { return static_cast<int64_t>(tokens.size()); }
  int64_t generated() const { return size() - prompt_tokens; }

  const uint64_t id;            // in order of arrival: the smaller is the older
  std::vector<int32_t> tokens;  // prompt, then generated
  const int64_t prompt_tokens;
  const int64_t max_tokens;
  const std::vector<int32_t> stop_ids;
  const std::string cache_salt;
  const std::function<bool(const TokenEvent&)> on_token;
  Sampler sampler;
  std::optional<FinishReason> finished;

  // Cache. Rows 0…computed-1 are in the pages (main layers and, while draft_filled, the draft layer); the last token
  // never is: its row is what gives the next one.
  std::vector<int32_t> pages;
  int64_t computed = 0;
  int64_t published = 0;      // pages[0…published) can be found by others
  int64_t cached_tokens = 0;  // of the prompt, found when it was first admitted
  bool admitted = false;      // ever
  bool draft_filled = true;
  // While waiting: the running sequence that is about to fill pages it could share, and how many.
  uint64_t waits_for = 0;
  int64_t shared_pages = 0;

  std::optional<int32_t> guess;  // of the token at position size(), to be verified
  double acceptance = 1;         // running mean over its guesses
  int64_t guess_from = 0;        // size() before which none is made
  uint64_t last_served = 0;      // the number of the slot it got last; 0: none yet
};

}  // namespace modelc

#endif  // MODELC_CORE_RUNTIME_ENGINE_SEQUENCE_H_
