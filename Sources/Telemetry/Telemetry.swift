// Structured logging with constant messages and closed-set fields, and counters in the Prometheus text format.
//
// Nothing personal can be a field: values are numbers, closed-set words or file paths of the project.
