"""Rows of `bad_packets.py` that another broker is known to answer in its own way.

Each is a row and a version. Mosquitto 2.0.11 closes on most of what is malformed without saying
why, takes some of it, and two times says 0x81 where the specification has a code of its own.
"""

CLOSES_IN_SILENCE = """
    connect-reserved-flag/5 connect-will-qos-without-will/5 connect-will-retain-without-will/5
    connect-will-qos-3/5 connect-will-flag-without-will/5 connect-user-flag-without-user/5
    connect-password-flag-without-password/5 connect-bytes-behind-it/5 connect-without-client-id/5
    connect-client-id-cut-short/5 connect-with-flags/5 connect-client-id-lone-continuation/5
    connect-client-id-overlong/5 connect-client-id-surrogate/5
    connect-client-id-half-a-character/5 connect-client-id-beyond-unicode/5
    connect-client-id-nul/5 connect-user-ill-formed/5 connect-will-topic-ill-formed/5
    connect-will-topic-wildcard/5 connect-will-topic-empty/5 connect-session-expiry-twice/5
    connect-receive-maximum-0/5 connect-receive-maximum-twice/5 connect-maximum-packet-size-0/5
    connect-maximum-packet-size-twice/5 connect-topic-alias-maximum-twice/5
    connect-request-response-2/5 connect-request-response-twice/5 connect-request-problem-2/5
    connect-request-problem-twice/5 connect-authentication-method-twice/5
    connect-property-of-another-packet/5 connect-property-unknown/5 connect-property-cut-short/5
    connect-user-property-ill-formed/5 connect-user-property-half/5
    connect-will-will-delay-twice/5 connect-will-payload-format-twice/5
    connect-will-message-expiry-twice/5 connect-will-content-type-twice/5
    connect-will-correlation-data-twice/5 connect-will-property-of-connect/5
    connect-without-property-length/5 connect-property-length-too-long/5
    publish-payload-format-twice/5 publish-message-expiry-twice/5 publish-topic-alias-twice/5
    publish-response-topic-ill-formed/5 publish-response-topic-twice/5
    publish-correlation-data-twice/5 publish-content-type-ill-formed/5
    publish-content-type-twice/5 publish-user-property-key-ill-formed/5
    publish-user-property-value-nul/5 subscribe-two-subscription-identifiers/5 second-connect/5
    remaining-length-of-five-bytes/5 pubrel-identifier-0/5 connack-from-a-client/5
    suback-from-a-client/5 pubrel-with-flags-0/5 disconnect-with-flags-1/5 puback-of-one-byte/5
    puback-with-a-foreign-property/5 pubrec-of-one-byte/5 pubrec-with-a-foreign-property/5
    pubrel-of-one-byte/5 pubrel-with-a-foreign-property/5 pubcomp-of-one-byte/5
    pubcomp-with-a-foreign-property/5 auth-with-flags/5 auth-without-a-method/5
    auth-unknown-reason/5 disconnect-unknown-reason/5 disconnect-expiry-twice/5
    disconnect-foreign-property/5
"""
TAKES = """
    connect-wrong-password/4 connect-wrong-password/5 connect-authentication-data-alone/5
    connect-will-payload-format-2/5 connect-will-response-topic-wildcard/5 publish-dup-at-qos-0/4
    publish-dup-at-qos-0/5 publish-larger-than-is-taken/4 publish-larger-than-is-taken/5
    publish-payload-format-2/5 publish-response-topic-wildcard/5
    publish-subscription-identifier/5 subscribe-no-local-on-shared/5 subscribe-shared-name-0/5
    subscribe-shared-name-1/5 subscribe-shared-name-2/5 pingreq-with-a-body/4
    pingreq-with-a-body/5 suback-from-a-client/4 unsuback-from-a-client/4 unsuback-from-a-client/5
    pingresp-from-a-client/4 pingresp-from-a-client/5 puback-with-flags-2/4 puback-with-flags-2/5
    pubrec-with-flags-2/4 pubrec-with-flags-2/5 pubcomp-with-flags-2/4 pubcomp-with-flags-2/5
    pingreq-with-flags-1/4 pingreq-with-flags-1/5 puback-with-an-unknown-reason/5
    pubrec-with-an-unknown-reason/5 pubrel-with-an-unknown-reason/5
    pubcomp-with-an-unknown-reason/5
"""
SAYS_ANOTHER_CODE = """
    publish-topic-alias-0/5 subscribe-subscription-0/5
"""
KNOWN = {"mosquitto": (CLOSES_IN_SILENCE + TAKES + SAYS_ANOTHER_CODE).split()}
