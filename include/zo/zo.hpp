// zo: zeroth-order optimization, the whole core. Adapters (zo/eigen.hpp, zo/torch.hpp) are included
// apart.
#pragma once

#include "zo/answer_log.hpp"      // IWYU pragma: export
#include "zo/any_estimator.hpp"   // IWYU pragma: export
#include "zo/ask.hpp"             // IWYU pragma: export
#include "zo/boundary.hpp"        // IWYU pragma: export
#include "zo/cge.hpp"             // IWYU pragma: export
#include "zo/coloring.hpp"        // IWYU pragma: export
#include "zo/config.hpp"          // IWYU pragma: export
#include "zo/coordinate.hpp"      // IWYU pragma: export
#include "zo/difference.hpp"      // IWYU pragma: export
#include "zo/direction.hpp"       // IWYU pragma: export
#include "zo/error.hpp"           // IWYU pragma: export
#include "zo/estimate.hpp"        // IWYU pragma: export
#include "zo/estimator.hpp"       // IWYU pragma: export
#include "zo/execution.hpp"       // IWYU pragma: export
#include "zo/find_sparsity.hpp"   // IWYU pragma: export
#include "zo/frank_wolfe.hpp"     // IWYU pragma: export
#include "zo/in_place.hpp"        // IWYU pragma: export
#include "zo/inside.hpp"          // IWYU pragma: export
#include "zo/integers.hpp"        // IWYU pragma: export
#include "zo/jacobian.hpp"        // IWYU pragma: export
#include "zo/law.hpp"             // IWYU pragma: export
#include "zo/lazy.hpp"            // IWYU pragma: export
#include "zo/least_squares.hpp"   // IWYU pragma: export
#include "zo/machine.hpp"         // IWYU pragma: export
#include "zo/minimize.hpp"        // IWYU pragma: export
#include "zo/minimize_async.hpp"  // IWYU pragma: export
#include "zo/noise.hpp"           // IWYU pragma: export
#include "zo/objective.hpp"       // IWYU pragma: export
#include "zo/optimizer.hpp"       // IWYU pragma: export
#include "zo/outcome.hpp"         // IWYU pragma: export
#include "zo/perturb.hpp"         // IWYU pragma: export
#include "zo/proximal.hpp"        // IWYU pragma: export
#include "zo/pullback.hpp"        // IWYU pragma: export
#include "zo/quadrature.hpp"      // IWYU pragma: export
#include "zo/random.hpp"          // IWYU pragma: export
#include "zo/rge.hpp"             // IWYU pragma: export
#include "zo/run.hpp"             // IWYU pragma: export
#include "zo/schedule.hpp"        // IWYU pragma: export
#include "zo/smoothing.hpp"       // IWYU pragma: export
#include "zo/space.hpp"           // IWYU pragma: export
#include "zo/time_limit.hpp"      // IWYU pragma: export
#include "zo/vector_map.hpp"      // IWYU pragma: export
