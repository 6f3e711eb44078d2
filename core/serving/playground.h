#ifndef MODELC_CORE_SERVING_PLAYGROUND_H_
#define MODELC_CORE_SERVING_PLAYGROUND_H_

#include <string_view>

namespace modelc {

// The page at "/": playground.html, whole, with nothing loaded from elsewhere.
extern const std::string_view kPlaygroundPage;

}  // namespace modelc

#endif  // MODELC_CORE_SERVING_PLAYGROUND_H_
