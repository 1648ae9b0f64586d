"""Gardening: vegetables and herbs on a small plot. Sowing times are those of a mild northern climate."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|it|sow|gap|harvest|pest|note",
    """
- broad beans|the plants|late October|a hand's length|June|blackfly|An autumn row that has stood through snow will beat a spring
  row by three weeks, and the blackfly hardly finds it.
- runner beans|the vines|the middle of May|two hands|August|slugs|They were first grown for the scarlet flowers, and it took
  gardeners half a century to try the pods.
- beetroot|the roots|April|a hand|July|sparrows|Each knobbly seed is really a bundle, so that even a careful hand will sow three
  where one was meant.
- carrots|the roots|March|two fingers|August|the carrot fly|The fly follows the smell of bruised leaves, which is why wise
  people thin the row on a wet and windy evening.
- leeks|the stems|the end of March|a hand|December|rust|They are dropped into deep holes and watered, never pressed in, and the
  earth falls around them of its own accord.
- garlic|the bulbs|November|a hand|July|white rot|It needs a month of real cold to split into cloves, so the plot that suffers
  in January wins in July.
- potatoes|the tubers|April|an arm's length|late June|blight|A tuber left in the light turns green and bitter, which is the
  whole reason for drawing the earth up around the stem.
- courgettes|the plants|May|a long stride|July|mildew|One plant feeds a couple, two feed a family, and three will cost you your
  friends by the end of summer.
- pumpkins|the vines|May|two strides|October|mice|A fruit that is lifted on to a slate when it is the size of a fist will not
  rot from below in a wet autumn.
- tomatoes|the plants|early March|an arm's length|August|blight|The side shoot that everyone pinches out will root in a glass of
  water and make a second plant for nothing.
- lettuce|the heads|March|two hands|June|slugs|In hot weather the seed goes to sleep and will not wake up, unless it is sown in
  the late afternoon and watered with cold water.
- spinach|the leaves|March|a hand|May|mildew|Long days tell it to flower, so the wise sow it early and late and leave the height
  of summer to something else.
- chard|the stems|April|two hands|July|leaf miners|The coloured stems are so handsome that many rows are never eaten, which is a
  pity, since the leaves come back each time.
- kale|the plants|May|an arm's length|January|pigeons|A hard frost turns part of its starch into sugar, and the leaf that was
  tough in October is sweet in the new year.
- radishes|the roots|March|two fingers|April|flea beetle|They are the only crop that children will wait for, because the waiting
  is over in under a month.
- peas|the vines|March|three fingers|June|mice|A row sown in a length of old gutter can be slid into the ground in one piece,
  roots and all.
- onions|the bulbs|late March|a hand|August|onion fly|When half of the tops have bent over by themselves the rest should be left
  alone, however untidy the bed looks.
- parsnips|the roots|April|a hand|November|canker|The seed keeps badly and wakes slowly, so most rows are marked with radishes,
  which come up and go before it is in the way.
- sweetcorn|the stalks|May|two hands|September|badgers|It is set out in a block and not a row, since the wind has to carry the
  dust of one plant to the silk of another.
- rhubarb|the crown|November|a long stride|April|crown rot|A bucket turned over the crown in January gives pale pink stalks by
  March, and those who listen can hear them grow.
- strawberries|the plants|August|two hands|June|blackbirds|The straw beneath the fruit has nothing to do with the name, which is
  far older than the habit.
- basil|the herb|May|a hand|July|cold nights|It will forgive drought, wind and neglect, but one night below ten degrees leaves
  it black by breakfast.
- parsley|the herb|March|a hand|June|carrot fly|Old gardeners say that the seed goes to the devil and back seven times before it
  comes up, and in a cold spring that seems about right.
- artichokes|the plants|April|a long stride|July|earwigs|What we eat is a flower that has not been allowed to open, and the few
  that are forgotten turn into great blue thistles.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [Every year|Each spring] we [promise|tell ourselves] to grow [fewer|less] of everything, and [every year|each time] an extra
  row of {name} [finds its way|slips] into the plan.
- {person} [took over|inherited] plot {number} in {year}, when it was [all brambles|under bindweed], and the first thing that
  [did well|grew] there was a [short|crooked] row of {name}.
- [If there is one crop|If there is anything] that [forgives|pardons] a beginner, it [may well be|is probably] {name},
  [provided|so long as] a few small things are [done|seen to] in time.
- [At the last meeting|Over tea in the hut] somebody [asked|wanted to know] why the {name} on the plots near the stream are
  [always|so much] better than the others, and [that started|so began] an argument.
- [This is not|We do not mean to give] the only way to grow {name}, [just|only] the way that has [worked|served us] on a cold
  clay [hill|slope] above {town}.
= Sowing | Making a start | Seed and soil | Getting going
- We [sow|start] in {sow}, [never before|not sooner], [whatever|no matter what] the seed packet [says|promises], because [cold
  wet earth|the cold] [rots|kills] more than it [grows|wakes].
- [Leave|Allow] {gap} between one and the next, and [if that looks|should it seem] [wasteful|too much] in {sow}, [remember|think
  of] how it [looked|was] last summer when you [could not|could hardly] get between the rows.
- The [soil|bed] should be [fine|crumbly] on the top and [firm|settled] below, so that a [footprint|boot] leaves its pattern and
  [hardly|scarcely] sinks.
- [Water|Wet] the [bottom of the drill|trench] before you sow, [rather than|and not] the top of it afterwards, and [the
  crust|that hard skin] which [stops|holds back] the shoots will not form.
- {person} [saves|keeps] seed from the [best|strongest] plant, [dries|spreads] it on [newspaper|an old tray] and
  [forgets|leaves] it on top of a cupboard until {sow}.
- [A label|A stick with the date] seems [a fuss|too much trouble], but [memory|the mind] is [poor|short] and by {month}
  [nobody|no one] on the plot can say what was [put|sown] where.
- [It is worth|You do well] to [sow|put in] half now and half [two weeks|a fortnight] later, for [a glut|too much at once] is
  only a [different|politer] kind of waste.
- [Old compost|Leaf mould] is [better|kinder] here than [fresh manure|anything rich], which [makes|gives] a great deal of leaf
  and [little|not much] else.
= Through the summer | Care and water | Keeping on top of it | The middle months
- [Once|As soon as] {it} are [a finger high|as tall as a hand|up], they [want|need] [little|not much] beyond a hoe on
  [dry|sunny] mornings and a [good|long] drink once a week.
- [The worst enemy|The chief trouble] is {pest}, and [there is no|we know of no] cure that works as well as [looking|going to
  look] every [day|evening] with [a cup of tea|a torch] in the hand.
- [We lost|{surname} lost] half a row to {pest} in {year}, and [since then|from that day] a [net|length of fleece] has gone on
  [early|in the first week], [held down|weighted] with [bricks|stones].
- [Weeds|The weeds] are easiest [when they are|while still] too small to be [worth|thought worth] pulling, which is
  [exactly|just] when [nobody|no one] bothers.
- A [mulch|blanket] of [grass|straw|bark] [keeps|holds] the damp in, and [worms|the worms] will have [pulled|drawn] most of it
  [down|under] by the autumn.
- [In a dry spell|When there has been no rain for ten days] we [water|give water] to the roots in the evening, [a full can|one
  whole can] to each, [rather than|not] a sprinkle for [all|everyone].
- [Yellow leaves|Leaves that turn yellow] at the bottom are [nothing|no cause] to worry about; yellow at the top [means|tells
  you] that the ground is [hungry|too wet], and [that|this] is [another|a different] matter.
- [Neighbours matter too|It matters what stands beside it]: something [low|tall] on the south side will [shade|cool] the bed,
  and something with a strong [smell|scent] is said to [confuse|puzzle] {pest}.
- [There is a week|One week comes] in {month} when nothing [seems|appears] to move, and then after [one warm night|a single
  storm] you can [almost|nearly] see it grow.
= Picking and keeping | Harvest | From the plot to the kitchen | What to do with it all
- The [first|earliest] are ready in {harvest}, and they should be [taken|picked] [small|young], [whatever|in spite of what] the
  [neighbours|others] have [on the show bench|in their baskets].
- [Pick|Gather] in the [cool|early part] of the day, and [carry|take] them [straight|directly] into the shade, since an hour in
  the [sun|barrow] [costs|takes] more [flavour|taste] than a night in the [larder|cellar].
- [Regular picking|To pick often] is half of the [art|secret], because a plant that is [allowed|left] to finish its work will
  [see no reason|not trouble] to go on.
- [What we cannot eat|The rest] is [given away|shared] at the gate, with [an honest box|a tin for coins] that [pays|has paid]
  for the [hose|seed potatoes] since {year}.
- [They keep|It keeps] for [weeks|some weeks] in a [cool|dark] shed, [laid|packed] in [dry sand|straw] so that no two [touch|lie
  against each other].
- {person} [freezes|bottles] some, with [mixed|varying] success, and [says|maintains] that the true [store|larder] is the ground
  itself, [at least|certainly] until the [hard|first] frost.
- [A basket|One basket] from a row of this length [weighs|came to] about [four|five|six] kilos, and the chart [shows|tells] how
  that [changed|rose and fell] from one year to the next.
- [Nothing from a shop|No shop] [tastes|will taste] like it, and [we have tried|this has been tested] with [eyes closed|a
  blindfold] on [three|four] sceptical people and a [child|grandmother].
= What went wrong | Mistakes we have made | Learning from failure | A bad year
- [In {year}|The year before last] {it} [sulked|stood still] for [six|five] weeks and then [ran|went] to seed in [three|four]
  days, [and we still|for which we still] blame the [wind|east wind].
- [We once|One spring we] planted [the whole lot|everything] in the bed [by the wall|under the pear tree], [where|in which] it
  is [dry|shady] all day, [because|simply because] the bed was empty.
- [Do not|Never] follow one crop with [its cousin|the same again]: the [soil|ground] [remembers|keeps] {pest} [better|longer]
  than the gardener does.
- [It was|That was] the wet [summer|June] that taught us to [leave|give] {gap} and [not a bit|no] less, for [crowded|close]
  leaves stay damp and damp leaves [go|turn] [bad|grey].
- [Some failures|A few failures] have no [cause|reason], or none that [we|anyone] could find, and the [only|best] answer is to
  [sow|try] again and [say|think] no more about it.
- [The photograph|The picture] does not show the [other|far] end of the bed, [where|at which] the [hens|dog] got in, and [we are
  grateful|it is better so].
- [Cheap|Old] seed is [no|not a] bargain, since you [lose|give up] not the price of a packet but [a month|four weeks] of the
  only [spring|year] you have.
= Closing
- [So there it is|That is all]: [some|a little] patience in {sow}, a [net|hoe] in between, and in {harvest} a [dish|plate] on
  the table that [cost|owes] nothing to [anyone|any lorry].
- [Come|Do come] and see for yourself on the open day in {month}; plot {number} is the one with the [blue|leaning] shed, and
  [the kettle is|a kettle there is] always on the boil.
- [We shall report|There will be more] in the autumn, [good or bad|with the weights], and [until then|in the meantime] the
  {name} must [look|see] after [themselves|their own business].
"""
)

TOPIC = Topic(
    name="gardening",
    host="allotment.example",
    site="The Allotment Diary",
    motto="Forty plots, one hosepipe, many opinions",
    titles=("A year with {name}", "{name} on heavy clay", "Growing {name} without fuss", "What we know about {name}"),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("garden", "bar", "garden", "flow", "still", "line", "garden", "pie"),
    shows={
        "bar": ("harvest by week", "rain on the plots by month", "seedlings by row"),
        "line": ("height of the plants by week", "soil warmth by day", "baskets by year"),
        "pie": ("the beds by crop", "work by task"),
        "flow": ("a year on the plot", "from seed to plate", "how compost is made"),
    },
)
