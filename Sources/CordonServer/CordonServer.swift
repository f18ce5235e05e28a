// Wires services into running regions: collectors, delivery, sweeps, reload and orderly shutdown.
