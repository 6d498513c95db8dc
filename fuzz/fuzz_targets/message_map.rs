//! A message of MQTT as AMQP, one of AMQP as MQTT, and back.
#![no_main]

ferrymq_fuzz::target!(
    ferrymq_fuzz::Memory::JSON,
    ferry_gateway::fuzzing::check_map
);
