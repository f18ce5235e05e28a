// Synthetic pixel traffic from all over the world, and a client that sends it over loopback.
//
// For the demo, the benchmarks and the tests: hits are made from a seed, so a run can be repeated and every value that
// was sent can be searched for afterwards. It knows the pixel's URL parameters and nothing else of the product.
// Start at ``TrafficGenerator`` and ``LoopbackClient``.
