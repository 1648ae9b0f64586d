"""Texts the language and quality rules must turn away, written for this purpose."""

GERMAN = (
    "Wer an einem klaren Morgen auf den alten Leuchtturm steigt, sieht nicht nur das Meer, sondern auch die kleinen Felder hinter dem Deich, "
    "auf denen im Frühjahr das Wasser steht. Der Turm wurde vor mehr als hundert Jahren gebaut, und seitdem hat er jeden Sturm überstanden.",
    "Bis vor kurzem wohnte hier noch ein Wärter mit seiner Familie. Er zündete am Abend die Lampe an, schrieb das Wetter in ein dickes Buch "
    "und ging erst schlafen, wenn der Nebel sich verzogen hatte. Seine Tochter erzählt gern, wie sie im Winter mit dem Schlitten zur Schule fuhr.",
    "Heute leuchtet die Lampe ganz von selbst, doch die Bücher sind geblieben. Sie stehen in einer Kammer unter der Treppe, und wer freundlich "
    "fragt, darf darin blättern. Man findet dort nicht nur Zahlen, sondern auch Zeichnungen von Schiffen und getrocknete Blumen.",
    "Im Sommer kommen viele Besucher mit dem Fahrrad. Sie kaufen beim Bäcker am Hafen ein Brötchen, setzen sich auf die Mauer und schauen zu, "
    "wie die Fischer ihre Netze flicken. Abends wird es still, und dann gehört der Turm wieder den Möwen.",
)

FRENCH = (
    "Tous les samedis, bien avant le lever du soleil, les premiers marchands arrivent sur la place et déchargent leurs caisses sans faire "
    "trop de bruit. Les habitants dorment encore, mais l'odeur du pain et du café monte déjà jusqu'aux fenêtres.",
    "Vers huit heures, la place est pleine. On y trouve des pommes qui n'ont jamais vu de camion, des fromages dont personne ne connaît le nom, "
    "et une vieille dame qui vend des graines dans des sachets écrits à la main. Elle sait exactement ce qui poussera dans chaque jardin.",
    "Le marché existe depuis si longtemps que la rivière elle-même a changé de lit sans le déranger. Dans les archives de la mairie, on lit "
    "qu'en temps de guerre on y échangeait des œufs contre du charbon, et que le maire y achetait ses bottes.",
    "À midi, tout est fini. Les balais passent, les pigeons discutent du reste, et il ne demeure sur les pavés qu'un peu d'eau et quelques "
    "feuilles de salade. Les enfants jouent alors au ballon là où, une heure plus tôt, se tenaient les marchands de poisson.",
)

LOREM = (
    "Lorem ipsum dolor sit amet, consectetur adipiscing elit, sed do eiusmod tempor incididunt ut labore et dolore magna aliqua. Ut enim ad "
    "minim veniam, quis nostrud exercitation ullamco laboris nisi ut aliquip ex ea commodo consequat.",
    "Duis aute irure dolor in reprehenderit in voluptate velit esse cillum dolore eu fugiat nulla pariatur. Excepteur sint occaecat cupidatat "
    "non proident, sunt in culpa qui officia deserunt mollit anim id est laborum.",
    "Sed ut perspiciatis unde omnis iste natus error sit voluptatem accusantium doloremque laudantium, totam rem aperiam, eaque ipsa quae ab "
    "illo inventore veritatis et quasi architecto beatae vitae dicta sunt explicabo.",
    "This text is here only until the real one has been written, and it will be gone by then.",
)

KEYWORDS = (
    "cheap garden furniture, wooden garden chairs, folding tables, parasol stands, patio heaters, outdoor cushions, teak benches, rattan sofas, "
    "hammock frames, barbecue covers, solar lanterns, planter boxes, gravel trays, hose reels.",
    "discount kitchen knives, steel pans, copper kettles, glass jars, spice racks, bread bins, cake tins, pastry brushes, rolling pins, "
    "vegetable peelers, oven gloves, apron sets, wine coolers, coffee grinders.",
    "budget hotel rooms, airport transfer, city breaks, beach holidays, train passes, car rental, luggage straps, travel adapters, guided tours, "
    "museum tickets, boat trips, ski lessons, mountain huts.",
)

SPAM = (
    "Free xxx porn for you and your friends, all of the best porn on the web is here, and you can see it as soon as you have told us who you are.",
    "If you want more xxx and more sex, then this is the place for you; we have porn of all kinds, and it is new on every day of the week.",
    "Do not wait for another hour, because the free porn that we have put up for this week will be gone when the week is over, and so will we.",
)

BREATHLESS = (
    "and then we went down to the water because it was so hot that nobody could think of anything else and the boys had their shoes in their "
    "hands and the dog was in front of us all the way and it did not stop until it was up to its neck and we were all in after it",
    "so there we stood and it was the best hour of that summer and I do not know why we had not done it before since the river was there all "
    "of the time and it was not far and it did not cost a thing but that is how it is with what is near to you when you are young",
    "when we came home it was almost dark and they asked us where we had been and what we had done with the bread and none of us could say "
    "because it was gone and the dog knew more about it than we did but it was asleep under the table before anyone could ask",
)

SIGNS = (
    "1.204 | 17.33 | 0.98 || 44.1 -> 45.7 (+3.6 %) || 12/04 = 3.00 ; 13/04 = 3.25 ; 14/04 = 3.75 *** so it is ***",
    "[A-17] 2 x 4.50 + 3 x 1.25 = 12.75 // [A-18] 7 x 0.80 = 5.60 // [A-19] 11 x 2.10 = 23.10 >>> and that was all of it <<<",
    "#001 ~ 99.1 % | #002 ~ 98.7 % | #003 ~ 97.2 % | #004 ~ 95.5 % | #005 ~ 93.8 % (((of what we had at the start)))",
)

OLD_LETTERS = (
    "The café on the corner was run by two sisters from Liège, who had a naïve faith in credit and a “strictly private” back room. "
    "We were let in once, on the day of the fête, and found nothing there but a piano, an old résumé and a crème brûlée that nobody had claimed.",
    "It’s odd how much of a town’s history ends up in such rooms – a façade is rebuilt, a name is changed, and yet the smell of coffee stays. "
    "“Everything comes back,” the elder one used to say, “except the spoons.”",
)

#: a page that prints its text twice
OLD_SONG = (
    "The song about the ship has nine verses, and at the inn by the harbour they sing all of them, even the one that no longer means anything.",
    "It tells of a captain who would not wait for the tide, of a cook who could see in the dark, and of a cat that was the only one to be saved.",
    "My uncle used to say that you could hear from the way people sang the third verse whether the herring had been good that year or not.",
    "When the inn was sold they painted the words on the wall above the door, with two mistakes in them, and now it is sung with the mistakes.",
)
