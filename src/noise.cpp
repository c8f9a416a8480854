// What the searches of zo/noise.hpp may be told.
#include "zo/noise.hpp"

#include "zo/finite.hpp"

namespace zo::detail {

void check(const char* who, const noise_options& how, index_t dimension) {
  require(how.points >= 6 && how.points <= 1024, who,
          ": points must be at least 6 and at most 1024, got ", how.points);
  require(how.tries >= 1, who, ": tries must be at least 1, got ", how.tries);
  require(!how.spacing || (*how.spacing > 0 && is_finite(*how.spacing)), who,
          ": spacing must be a positive number, got ", how.spacing.value_or(0));
  require(!how.coordinate || (*how.coordinate >= 0 && *how.coordinate < dimension), who,
          ": coordinate must be one of 0 … ", dimension - 1, ", got ", how.coordinate.value_or(0));
}

void check(const char* who, const smoothing_options& how) {
  require(!how.noise || (*how.noise >= 0 && is_finite(*how.noise)), who,
          ": noise must be at least 0, got ", how.noise.value_or(0));
  require(how.directions >= 1 && how.directions < (index_t{1} << 32), who,
          ": directions must be at least 1 and below 2^32, got ", how.directions);
  require(!how.largest || (*how.largest > 0 && is_finite(*how.largest)), who,
          ": largest must be a positive number, got ", how.largest.value_or(0));
  require(how.points >= 6 && how.points <= 1024, who,
          ": points must be at least 6 and at most 1024, got ", how.points);
}

}  // namespace zo::detail
