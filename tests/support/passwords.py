"""Passwords of users in tests."""

from __future__ import annotations

# "secret", with a cost that no test has to wait for.
HASH = "$2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW"
# The same with other costs: a comparison takes 60 ms of processor, and 240.
BCRYPT_10 = "$2y$10$abcdefghijklmnopqrstuuqflPDzB6gcMhKa1rZqKiun2YGL5sa2u"
BCRYPT_12 = "$2y$12$abcdefghijklmnopqrstuuT1Iwu6o8Wx7BoOyIMHfgVJq6JO/IJhW"
SHA_100001 = (
    "$6$rounds=100001$saltsalt$pnAT0Eyji/wrKntEilWHMLe/1bgKiB7LNwlewHWYfEzFdQ4N14nhHLrzCJFgc.ucqKry3wvwQ7pbhlL1GWBeS1"
)
# "secret" again, as the proxies know it or do not.
SHA_5 = "$5$saltsalt$0IyaXrmV7.sGNS6tirgqHLqX/G.FBvgkYA.lpPdS5sA"
SHA_6 = "$6$saltsalt$TVLlQcbpFVof5W3Yz4DTP6gRstiNuHwwTt6GLc1E5n0U0aDehy0S5knV8wiOQSpT0Y77vwPZN.Pq.H91p5hVO1"
APR1 = "$apr1$saltsalt$LrttParrLPdxvgutaSXWJ0"
SHA_1 = "{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ="
