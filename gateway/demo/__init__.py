"""`heyzack demo`: a simulated building, a broker, a receiver and the gateway against them, on one machine."""
