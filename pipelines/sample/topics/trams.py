"""City transport: the lines of an invented town, told by people who ride them."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|it|start|end|stops|every|opened|note",
    """
- tram line 1|the line|Central Station|the Zoo|fourteen|six minutes|1899|Horses pulled the first cars, and the stable at the end
  of the line is now a cinema with a sloping floor.
- tram line 2|the line|Harbour Square|Linden Hill|nineteen|eight minutes|1906|The climb to the hill is so steep that the older
  cars had to carry sand, and children still call it the beach tram.
- tram line 3|the line|the Hospital|Market Gate|eleven|ten minutes|1912|It was closed for a subway that never came, and opened
  again thirty years later along the very same street.
- tram line 4|the line|the Old Docks|University|sixteen|seven minutes|1921|A clock at the halfway stop has been four minutes
  slow for as long as anyone remembers, and the drivers like it so.
- tram line 5|the line|Castle Street|Sandfield|twenty two|twelve minutes|1924|Its last mile runs between hedges, and the
  timetable still has a remark about cows.
- bus route 11|the route|Westgate|the Stadium|twenty six|nine minutes|1931|On match days the route is turned around in the
  middle of the afternoon, which regular passengers enjoy explaining to strangers.
- bus route 14|the route|Millbrook|the Airport|eighteen|fifteen minutes|1962|Crews with their small wheeled cases fill it before
  dawn, and by eight it belongs to schoolchildren.
- bus route 27|the route|Northfield|the Covered Market|thirty|eleven minutes|1948|It takes the longest way between two places
  that can see each other, because the river has only one strong bridge.
- bus route 33|the route|Tanner's Yard|the Crematorium|seventeen|twenty minutes|1955|The drivers wait a little longer at the
  last stop than the rules allow, and nobody has ever complained.
- the night bus|the service|Theatre Square|every suburb in turn|forty|sixty minutes|1987|It leaves from the theatre whatever the
  weather, and for years the same dog has travelled on it alone.
- the harbour ferry|the boat|North Pier|South Pier|four|twenty minutes|1874|The crossing takes seven minutes, just long enough,
  it is said, to eat one roll or to end one friendship.
- the funicular|the railway|Lower Town|the Belvedere|three|five minutes|1891|The two cars hang on one cable, so that whoever
  goes up is helped by somebody coming down.
- the ring line|the line|Central Station|Central Station|twenty four|five minutes|1936|As it has no end, the homeless and the
  newly in love have both been known to ride it until midnight.
- the airport train|the train|Central Station|Terminal Two|five|fifteen minutes|1994|It is the only service on which the guard
  announces the weather, and the only one on which people listen.
- the school tram|the car|Depot Lane|the Grammar School|nine|one trip a day|1958|It has no number and stands in no timetable,
  yet three generations can tell you the minute it leaves.
- the market tram|the car|Fruit Wharf|Market Gate|seven|thirty minutes|1903|One half of the car has no seats, and on Saturdays
  it is full of crates, flowers and now and then a goose.
- bus route 8|the route|Brewery Cross|Eastmoor|twenty one|ten minutes|1939|The brewery closed long ago, but on damp mornings
  passengers swear that the stop still smells of malt.
- bus route 40|the route|Science Park|Linden Hill|thirteen|twelve minutes|2003|It was planned for engineers and is used by
  gardeners, because the allotments turned out to be on the way.
- the tunnel line|the line|Parliament|Southbank|twelve|four minutes|1979|The platforms were painted in a colour each so that
  people who could not read the signs would know where they were.
- the hill minibus|the little bus|Spital Steps|Upper Vine Street|fifteen|twenty five minutes|1998|It stops wherever a hand is
  raised, and the driver knows which hands need help with a bag.
- the heritage tram|the old car|the Museum|the Lido|eight|forty minutes|1972|Everything on it was rescued from a hen house, and
  there is a brass plate to thank the hens.
- tram line 9|the line|Gasworks|Forest Edge|twenty|nine minutes|1928|The forest has moved away from the last stop by half a
  mile, and the name is now a kind of monument.
- the park railway|the small train|Rose Gate|the Boathouse|four|fifteen minutes|1951|The guards are all under sixteen and
  stricter about tickets than any grown inspector.
- the express bus|the coach|Central Station|New Harlow|six|half an hour|2011|It uses the hard shoulder when the road is full, to
  the silent fury of everyone in a car.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [At half past six|Just before seven] on a [wet|cold|bright] morning in {month}, {person} [stood|was standing] at {start} to
  [ride|take] {name} from one end to the other.
- [Everybody|Everyone] in the city has [an opinion|something to say] about {name}, and [most|many] of them [formed it|made it
  up] while [waiting|standing in the rain].
- [Since|Ever since] {opened} {name} has [run|gone] from {start} to {end}, [through|across] [wars|two floods], strikes and
  [eleven|nine] different [coats of paint|ticket systems].
- [This month|In this part of our series] we [sit|take a seat] in the [back|front] of {name}, with a [stopwatch|notebook], and
  [write down|count] what [happens|we see].
- [If you want to|Anyone who wants to] understand {town} should [skip|leave out] the [tour|guidebook] and [spend|put] a
  [day|whole afternoon] on {name} [instead|with a day ticket].
= The route | From end to end | Along the way | Stop by stop
- There are {stops} stops between {start} and {end}, and [the map|our map] [bends|straightens] the streets a
  [little|good deal] so that all of them fit on [one|a single] page.
- The first part is [all|nothing but] offices and [coffee|glass]; [then come|after that there are]
  [courtyards|workshops], a [long|low] wall, and [quite suddenly|without warning] [a field|the smell of bread].
- [Nearly|Almost] half of the [passengers|people] get off [before|by] the [middle|fifth stop], and [a different|another]
  [crowd|city] gets on, with [prams|shopping] and [more|a lot] to say.
- [The slowest|The worst] stretch is [the bridge|the old town], [where|in which] {it} [shares|has to share] the [road|lane] with
  [cars|delivery vans] and [moves|goes] at the [pace|speed] of a [tired|patient] walker.
- At {end} [there is|you will find] a [loop|turning circle], a [kiosk|hut] and a [bench|tree], and the driver [has|gets]
  [four|six|five] minutes to [drink|finish] something hot.
- [In {year}|Some years ago] two stops were [moved|taken out], [and|after which] [letters|complaints] [still|even now] come in
  from [people|readers] who [liked|were used to] the [old|longer] walk.
- [From the upper deck|From the last seat] you can [see|look] [into|over] [gardens|back yards] that [nobody|no one] on foot
  [knows|would guess] are there.
- [Change|Passengers change] at [the fourth stop|the sixth stop|the square] for the [ferry|suburbs], and [hold|keep] on to the
  [rail|strap], because the [curve|bend] [after|beyond] it [is sharp|surprises everyone].
= The timetable and the clock | How often and how late | Punctuality | Minutes
- [On paper|According to the timetable] there is one every {every}, and [on most days|as a rule] the [paper|timetable] is
  [right|nearly right], [at least|certainly] until [three|four] in the afternoon.
- We [measured|timed] [two hundred|three hundred|ninety] arrivals, and [found|it turned out] that [seven|eight] out of ten
  [came|were] within [one minute|two minutes] of the [promise|time on the board].
- The [chart|plot] shows [where|at which stops] the [time|minutes] [is|are] lost: [not|hardly ever] on the [road|rails], but at
  the [doors|ticket machines], while [somebody|one person] [looks|hunts] for [coins|a card].
- [A gap|One gap] [makes|causes] another, because the [late|delayed] car [finds|meets] more people at [each|every] stop and
  [so|for that reason] [falls|gets] farther behind.
- [The planners|People in the control room] know this, and [hold|keep] the [one|car] behind for a [moment|minute], which
  [feels|seems] [unfair|foolish] and is [the right thing|quite right].
- [After|From] nine in the evening it is [quiet|calm], and {person} [says|thinks] that [a driver|you] can [hear|tell] by the
  [sound|hum] alone [whether|if] a wheel [needs|wants] [turning|work].
- [Real time|Live] signs were [put up|fitted] in {year}, and [the wait|waiting] has [felt|seemed] shorter [since|from then on],
  [although|even though] it is [exactly|just] as long.
- [Snow|Ice] stops {it} less often than [leaves|wet leaves] do, [as|since] [snow|ice] can be [swept|salted] and leaves
  [turn|become] into something like [soap|grease].
= The people on board | Passengers | Who rides | Faces
- [About|Some] [nine|twelve|twenty] thousand people [use|ride] it on a [working|normal] day, [roughly|about] [a third|half] of
  them on the way to [school|work], and [the rest|the others] for [reasons|purposes] of their own.
- [The same|A certain] [nurse|baker|violin teacher] has [taken|caught] the [first|five o'clock] one for [eleven|sixteen|twenty]
  years, and the driver [waits|holds the door] when [she|he] is [not yet|still not] in sight.
- [Somebody|A man in a grey hat] [always|usually] knows [the history|a story], and [tells|will tell] it to the [whole|entire]
  car [between|somewhere between] the [second|third] and the [sixth|seventh] stop.
- {person}, who [drove|has driven] on {name} for [most|the better part] of a [working life|career], [remembers|can name] [two
  births|three proposals] and [one|a] very [calm|polite] [swan|goat].
- [Students|The students] [fill|crowd] the [back|rear], [pensioners|older people] [take|like] the seats by the [heater|door],
  and [nobody|no one] has [ever|as far as we know] [written|made] a rule about it.
- [We asked|Our reporter asked] [forty|fifty|sixty] people what they would [change|improve], and [the answer|what they said],
  [far|well] [before|ahead of] [price|speed], was [shelter|a roof] from the [rain|wind].
- [It is|This is] one of the few [places|rooms] [left|in the city] where [a judge|a surgeon] and [a plumber|an apprentice]
  [sit|may sit] [knee to knee|side by side] and [look|stare] out of the same window.
= Money, power and wheels | How it works | Behind the scenes | The workshop
- [The cars|The vehicles] are [washed|swept] each night in the [depot|shed], where a [small|tired] crew [replaces|changes]
  [brake blocks|light bulbs] and [collects|gathers up] [gloves|umbrellas].
- A [full|loaded] car [weighs|comes to] as much as [seven|nine] elephants, and [takes|needs] [about|some] [sixty|eighty] metres
  to [stop|come to rest], which is [why|the reason] the bell is [so|very] loud.
- [Tickets|Fares] pay for [a little|somewhat] [over|under] half of [the cost|what it costs]; the [rest|remainder] comes from the
  [city|county], and [every|each] spring there is [a debate|a quarrel] about it.
- [When|If] it [brakes|slows down], the motor [works|runs] backwards and [gives|sends] [current|power] to whichever car
  [happens|chances] to be [climbing|starting] nearby.
- The [track|surface] was [relaid|renewed] in {year}, and for [five|seven] months a [replacement|borrowed] bus [took|went] the
  [long|wrong] way round, [followed|pursued] by [curses|jokes].
- [The workshop|In the workshop they] can [make|cast] [almost|nearly] any part, [including|even] [hinges|lamps] for cars that
  were [built|made] before anyone [there|at the bench] was born.
- [A new type|The new type] of car, [lower|longer] and [quieter|lighter], is [promised|due] for [next|the coming] [year|spring],
  and [has been|so it was] in each [of the|of our] [reports|issues] since {year}.
= Closing
- [At|Back at] {start} it was [dark|raining] again, the [doors closed|lights went out], and {name} [rolled|went] off to the
  [shed|depot] with [its|all of its] windows [black|lit].
- [Have you|Do you have] a [story|memory] from {name}? [Send|Write] it to us, [long or short|on paper or not], and [we
  may|perhaps we will] print it [next|in another] month.
- [Our score|In our table it gets] for comfort is [seven|six|eight] out of ten, for [speed|punctuality] [five|six], and for
  [company|the view] [nine|a clear ten].
"""
)

TOPIC = Topic(
    name="transport",
    host="tramlines.example",
    site="Between the Lines",
    motto="A city seen through the window of a tram",
    titles=("A day on {name}", "{name}: from {start} to {end}", "Riding {name}", "What {name} tells about the city"),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("street", "route", "bar", "street", "route", "pie", "flow", "line"),
    shows={
        "bar": ("passengers by hour", "delays by stop", "tickets by year"),
        "line": ("waiting time by hour", "passengers by week", "speed by stop"),
        "pie": ("journeys by purpose", "fares by type"),
        "flow": ("how a tram is repaired", "a ticket from sale to gate"),
        "route": (
            "the way to the harbour",
            "the night service",
            "the line through the old town",
            "the ring around the centre",
        ),
    },
)
