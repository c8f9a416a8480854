#pragma once

// Where (x - at)^2 is least: a library that uses zo and does not show it.
__attribute__((visibility("default"))) double minimum_near(double at);
