"""Cooking: plain dishes and how a household learned to make them."""

from pipelines.sample.prose import Topic, sections, table

SUBJECTS = table(
    "name|it|base|heat|time|with_|note",
    """
- onion soup|the soup|a kilo of onions|the lowest flame|an hour and a half|toasted bread and hard cheese|The onions are done
  when they are the colour of a violin, and there is no way to make that happen sooner.
- lentil stew|the stew|brown lentils|a gentle simmer|forty minutes|a spoon of vinegar|The vinegar goes in at the very end, and
  people who leave it out spend years wondering what is missing.
- potato salad|the salad|waxy potatoes|boiling water|half an hour|warm broth and mustard|It must be dressed while the potatoes
  are still hot enough to hurt, since cold ones drink nothing.
- rye bread|the loaf|dark rye flour|a falling oven|a night and a morning|salted butter|It should not be cut on the day it is
  baked, a rule that no one in our house has ever kept.
- apple cake|the cake|sour apples|a moderate oven|fifty minutes|thick cream|The recipe was found on the back of a coal bill,
  with the weight of the sugar torn off.
- chicken broth|the broth|one old hen|a bare tremble|three hours|parsley and thin noodles|If it boils it turns cloudy, and
  though it tastes the same, nobody at the table will believe so.
- tomato sauce|the sauce|ripe tomatoes|a slow bubble|an hour|short pasta|A single carrot takes away the sharpness, and should be
  fished out before anyone sees it.
- fish pie|the pie|smoked haddock|a hot oven|forty five minutes|green peas|My aunt put a boiled egg in each corner so that there
  could be no quarrel about who got one.
- barley soup|the soup|pearl barley|a quiet simmer|an hour and a quarter|smoked bacon|It thickens overnight until a spoon will
  stand, and many people think the second day the better one.
- pancakes|the batter|flour and eggs|a hot dry pan|twenty minutes|lemon and sugar|The first one is always a failure and belongs
  to the cook, which is why cooks make so many.
- roast cauliflower|the dish|one large head|the top of the oven|thirty five minutes|a sauce of sesame|The leaves are the best
  part and are thrown away in almost every shop that sells it.
- bean soup|the soup|white beans|the back of the stove|two hours|good oil and black pepper|Salt the water in which they soak,
  whatever your grandmother told you, and the skins will stay whole.
- rice pudding|the pudding|short grain rice|the coolest oven|two hours|cold jam|The skin on the top divides families, and it is
  wise to bake it in a dish with plenty of corners.
- mushroom toast|the dish|brown mushrooms|a fierce pan|ten minutes|thyme and cream|Do not wash them, do not salt them, and above
  all do not stir them until they have stopped singing.
- pickled cucumbers|the jars|small cucumbers|no heat at all|ten days|dill and oak leaves|An oak leaf in the jar keeps them
  crisp, for the same reason that it tans a hide.
- pea soup|the soup|split peas|a low flame|an hour and twenty minutes|ham and dry toast|Sailors ate it on Thursdays, and a
  number of navies are said to do so even now.
- plum dumplings|the dumplings|small blue plums|water just off the boil|fifteen minutes|browned crumbs|A lump of sugar takes the
  place of the stone, and the one who bites on a real stone does the dishes.
- leek tart|the tart|four fat leeks|a steady oven|forty minutes|a green salad|Rinse them in a deep bowl and lift them out,
  because pouring only gives the sand a second chance.
- oat biscuits|the biscuits|rolled oats|a medium oven|twelve minutes|a glass of milk|They seem far too soft when they come out,
  and those who bake them longer get roof tiles.
- beef stew|the stew|shin of beef|a covered pot|three hours and a half|mashed swede|The cheap cuts are the only ones that will
  do, a fact the butcher tells to customers he likes.
- cheese dumplings|the dumplings|fresh curd|barely moving water|ten minutes|melted butter|The dough ought to be so soft that you
  doubt it, and then you should add no more flour.
- vegetable curry|the curry|whatever is left|a wide pan|thirty minutes|rice and yoghurt|The spices are woken in hot fat first,
  and the kitchen tells you when, about two seconds before they burn.
- quince jelly|the jelly|yellow quinces|a rolling boil|an afternoon|strong cheese|The fruit is hard, sour and furry, and turns
  the colour of a sunset with nothing but sugar and time.
- white bread|the loaf|strong wheat flour|a very hot oven|four hours|almost anything|A spoon of yesterday's dough does more for
  the taste than any packet, and costs nothing.
""",
)

_OPENING, *_SECTIONS, _CLOSING = sections(
    """
= Opening
- [There are|You can find] [hundreds|dozens] of recipes for {name}, and [most|many] of them are [too long|in too much of a
  hurry]; [ours|this one] has [only|just] {base} and [a clock|some patience] in it.
- {person} [learned|was taught] to make {name} in {year}, in a [kitchen|room] with one [tap|window], from [a landlady|an uncle]
  who [never|did not ever] [measured|weighed] anything.
- [When|On the evenings when] [nobody|no one] can [agree|decide] what to eat, we [make|end up with] {name}, and [the talking|the
  discussion] [stops|is over].
- [It is raining|Rain runs down the window], there is {base} in the [basket|larder], and [that|this] is [all|as much]
  [reason|cause] as anyone [needs|wants] for {name}.
- [A reader|Somebody] from {town} [asks|wants to know] why {name} at home is [never|not] like the one at [the inn|her mother's
  table], and the answer [is|turns out to be] {heat}.
= What you need | The shopping | Before you begin | Ingredients and tools
- [Take|Start with] {base}, [the best|as good as] you can [find|get] without [fuss|driving anywhere], and [do not|never]
  [let|allow] a [book|magazine] [talk|argue] you into [anything|something] rarer.
- [For four people|To feed four] you [need|want] [about|roughly] as much as [fits|will go] into two [cupped|open] hands, and a
  [little|bit] more if [one|any] of them is [seventeen|growing].
- [The pot|Your pot] should be [heavy|thick] and [wider|broader] than you think, [because|since] [crowding|a crowd]
  [steams|stews] what ought to [brown|fry].
- [A wooden spoon|An old spoon], a [sharp|small] knife and a [board|table] that does not [slide|wobble] are [worth|better than]
  any [number|amount] of [machines|gadgets].
- [Have|Put] everything [cut|ready] [before|by the time] the [fire|stove] is lit; [this|it] is the [one|only] habit of
  [restaurants|real cooks] that is [worth|of any use] [at home|copying].
- [Salt|The salt] [belongs|goes] in at the [start|beginning] and [again|once more] at the end, and the [two|second] [do|does]
  quite different [work|things].
- The [picture|photograph] shows the [things|ingredients] [laid|set] out on the table, [minus|without] the [butter|piece of
  cheese], which [somebody|the cat] had [already|just] [found|taken].
- [Substitutes|Changes] are [allowed|welcome], [except|but not] for {with_}, [without which|because without that] [it is|you
  have made] [another|a different] dish with the same [name|title].
= Over the fire | The cooking | At the stove | Heat and time
- [Set|Put] it over {heat} and [leave|let] it [alone|be] for {time}; [if you must|should you need to] do something, [wash|dry]
  the [dishes|glasses] or [read|lay the table].
- [The smell|Your nose] is a [better|finer] guide than the [clock|thermometer]: [first|to begin with] it is [raw|sharp], then
  [sweet|round], and [at the last|in the end] [something|there is a note] [like|of] [nuts|toast].
- [Stir|Move it] from the [bottom|edges], [slowly|without haste], with [long|wide] strokes, and [taste|try a little]
  [each|every] time, [for|since] [that|tasting] is the [whole|only] secret.
- [Do not|Never] [lift|raise] the lid in the first [half|third] of the {time} that it [takes|needs], [or|unless you want] the
  [steam|heat] that [does|is doing] the work [will|to] be [lost|gone].
- [If it looks|Should it seem] [dry|too thick], add a [splash|ladle] of [hot|boiling] water, [never|and not] [cold|from the
  tap], since the [shock|chill] [stops|halts] everything.
- [There comes|You will notice] a moment, [about|perhaps] two thirds of the way [through|along], when {it} [looks|seems]
  [wrong|ruined]; [carry|go] on, [it|this] [always|regularly] [passes|comes right].
- {person} [turns|switches] the flame off [five|ten] minutes early and [covers|wraps] the pot [in|with] a [towel|blanket],
  [trusting|and trusts] the [iron|stone] to [finish|do] the rest.
- [Ovens lie|No oven tells the truth], so [the first|your first] time [look|check] after [half|two thirds] of the {time},
  [write|note] what you [see|find] [in|on] the [margin|page], and [believe|go by] that [later|next time].
- [The steps|All the steps] are [drawn|shown] in the [diagram|figure] for [those|people] who [like|prefer] [arrows|pictures] to
  [sentences|words], [among them|including] [both|two] of our [children|sons].
= At the table | Serving it | How we eat it | Bringing it in
- [Serve|Bring] it [hot|at once], in [deep|warm] plates, with {with_}, and [put|set] the [rest|pot] in the middle so that
  [nobody|no one] has to [ask|be polite].
- {with_} [may|might] [sound|seem] [odd|too plain], [yet|but] it [cuts|lifts] the [richness|sweetness], and [we|all of us]
  [miss|notice] it when it is [not there|missing].
- [The table|Our table] [falls|goes] silent for [about|some] four minutes, which in [this|our] family is the [highest|only]
  [form|kind] of praise.
- [Children|Small children] who [will not|refuse to] eat {base} in any other [form|shape] have been [seen|known] to
  [scrape|clean] the [dish|pan] with [bread|a finger].
- [A plain|Some plain] [salad|loaf] [beside|next to] it is [enough|plenty], and [water|cold water] is the [right|proper] drink,
  [although|even if] {surname} [disagrees|has other views].
- [What is left|Anything left over] [keeps|will keep] for [three|two|four] days in the [cold|cellar], and [tastes|is]
  [rounder|better] on the second, [as|like] [so much|most things] that [took|had] time.
- [We counted|Somebody counted] how [often|many times] it was [made|cooked] in [a|one] year, and the [chart|plot] has its
  [peak|highest bar] in {month}, [when|because] the [days|evenings] are [short|long].
= Where it comes from | A little history | Old versions | The story behind it
- [Nobody|No one] [invented|can claim] {name}; [it|the dish] [grew|came up] wherever there was {base} and [not|too little]
  [much|of anything] else.
- [The oldest|An early] [recipe|version] we [found|know] [stands|is] in a [notebook|ledger] from {year}, [between|squeezed in
  between] a [cure|remedy] for [coughs|warts] and the [price|cost] of [candles|hay].
- [In those days|At that time] it was [made|left] in the [embers|ashes] [overnight|while people slept], and the [words|phrase]
  {heat} would have [meant|said] [nothing|very little] to [anyone|the cook].
- [Travellers|Sailors|Students] [carried|took] it [with them|across the border], [each|every] town [changed|altered] one
  [thing|detail], and [each|every one] is [now|today] [certain|sure] that the others are [wrong|mistaken].
- [During|In] the [lean|hard] years {base} was [all|the one thing] that [could be had|the shops sold], and [many|some] older
  [people|neighbours] [cannot|still will not] [look|eat] at it [for that reason|to this day].
- {person} [thinks|believes] that the [name|word] [came|is] from the [pot|dish] it was [cooked|made] in, while [the dictionary|a
  dictionary], [less|rather] [charmingly|poetically], [says|claims] that it [did|does] not.
- [Fashion|The fashion] has [come|got] round to it [again|once more], and a [restaurant|place] near the [station|theatre] in
  {town} [sells|offers] a [small|tiny] [portion|plate] for the [price|cost] of [a coat|two chairs].
= Closing
- [That is|There is] [really|honestly] all: {base}, {heat}, and {time} in which [you|one] can [do|think about] something else.
- [Try|Make] it [twice|three times] before you [judge|change anything], and [then|after that] [write|tell us] how you [did|made]
  it, [because|since] yours [will|may] be [better|different].
- [The pot|Our pot] is [empty|in the sink] now, the [window|kitchen] is [steamed up|warm], and [somebody|someone] has
  [already|just] [asked|wondered] about [tomorrow|the day after].
"""
)

TOPIC = Topic(
    name="cooking",
    host="supper.example",
    site="Supper at Six",
    motto="Plain food, honestly timed",
    titles=("How we make {name}", "{name} and a clock", "{name} for a wet evening", "In praise of {name}"),
    subjects=SUBJECTS,
    opening=_OPENING,
    sections=tuple(_SECTIONS),
    closing=_CLOSING,
    kinds=("still", "flow", "still", "pie", "bar", "still", "ring", "line"),
    shows={
        "bar": ("suppers by month", "cups of flour by loaf", "spoons of salt by dish"),
        "line": ("oven heat by minute", "weight of the loaf by hour"),
        "pie": ("a dish by ingredient", "an hour in the kitchen"),
        "flow": ("how bread is made", "the order of the steps", "from market to table"),
        "ring": ("layers of a pie", "parts of a grain"),
    },
)
