"""The mirror itself: request -> rule -> library -> answer.

``mirror`` finds the route and lets the rule's package world have its say; ``cached`` answers from
what is stored or arriving, ``heads`` answers HEAD, ``passing`` hands through what belongs to one
client; ``serving`` turns an entry and its body into an answer, ``transforms`` leads links in it
back to the mirror.  ``ecosystem`` is what a package world may add; ``handlers`` are the user's.
"""
