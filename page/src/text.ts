/** All that the page says, in English: a translation is another object like this one. */

import { amount, amountOfPoints, count, decimals, plural, points, probability, share } from "./format";
import type { Ranged } from "./quality";
import type { Schemas } from "./schemas";

/** A share as customers of a hundred. A few of many are not none, and nearly all are not all. */
function ofHundred({ value }: Ranged): string {
  if (value < 0.01) return "fewer than 1";
  return value > 0.99 && value < 1 ? "more than 99" : count(100 * value);
}

/** Rounded outwards, so that the range still has all of it. */
function outwards({ low, high }: Omit<Ranged, "value">): string {
  const rounding = 1e-9; // 100 x 0.07 is a little over 7
  return `${count(Math.floor(low + rounding))} to ${count(Math.ceil(high - rounding))}`;
}

const rangeOfHundred = ({ low, high }: Ranged): string => outwards({ low: 100 * low, high: 100 * high });

const few = (expected: number): string => (expected > 0 && expected < 0.5 ? "fewer than 1" : count(expected));

type Cell = Pick<Schemas["RfmCell"], "r_score" | "f_score">;
type Evidence = Schemas["OfferProbability"]["evidence"];

/** Words by names that come from elsewhere, such as an address: "constructor" is in none of them. */
const words = (given: Record<string, string>): Record<string, string> => Object.assign(Object.create(null), given);

/** What a feature's drift means: how it moved, and whether that matters to the model. */
export type DriftWord = "alarm" | "unweighted" | "unknown" | "luck" | "stable" | "too_few";

export const text = {
  product: "Loyalty ML",
  skip: "Skip to the content",
  panels: { status: "Status", predict: "Test ML Predictions", segments: "Segments", files: "Files" },
  loading: "Loading …",
  reload: "Try again",
  cancel: "Cancel",
  close: "Close",
  none: "none",
  unknown: "unknown",
  details: "Details",
  requestId: (id: string) => `For whoever looks for it in the logs: ${id}`,

  errors: {
    title: "This could not be loaded",
    away: "The service does not answer. Check your connection, or whether it is running, then try again. What you typed stays here.",
    cancelled: "You cancelled this.",
    notTheService:
      "Something between you and the service answered in its place. Check whether your network wants you to sign in, then try again.",
    perhaps: "No answer came: it may have been done all the same",
    partAway: "This part of the page could not be fetched. Check your connection, then try again.",
    uploadAway: "The upload was cut off. Check your connection, then send the file again.",
    uploadRefused: (status: number) =>
      `The store refused the file (${status}). It must have 1 byte to 5 GB, and be sent within an hour: start again.`,
    listAway: "The segment's list cannot be read from here. Check your connection, then load the page again.",
    resultAway: "The result cannot be read from here. Download it instead.",
    ofStatus: (status: number) =>
      words({
        401: "You are not signed in, or your sign-in has ended. Sign in again: what you typed stays here.",
        403: "Your account may not do this. Ask whoever runs the service for the right to, then sign in again.",
        404: "The service has nothing at this address. It may be an older version than this page: load the page again.",
        413: "This is more than the service takes at once. Send less.",
        429: "Too many requests at the moment. Wait a little, then try again.",
        502: "The service failed to answer. Try again in a moment.",
        503: "The service cannot answer at the moment. Try again in a little while.",
        504: "The service took too long to answer. Try again in a moment.",
      })[status] ?? `The service answered with an error (${status}). Try again; if it stays, tell whoever runs it.`,
    broken: "The page has a fault of its own here. Load it again; if it stays, tell whoever runs the service.",
  },

  notAllowed: "Your sign-in does not include this",
  scopeMissing: (scope: string) => `Ask whoever runs the service for the scope ${scope}, then sign in again.`,

  signIn: {
    title: "Sign in",
    explain:
      "This service asks for a token. Paste one that your identity provider gave you. It is kept in the memory of this tab only, and gone when you close it.",
    label: "Token",
    wrong: "This is no token: one has letters, digits and signs without blanks between them. Copy it again.",
    go: "Use this token",
    atIssuer: (host: string) =>
      `You sign in at ${host}, in a window of its own. The sign-in is kept in the memory of this tab only, and gone when you close it.`,
    titleAgain: "Sign in again",
    againAtIssuer: (host: string) =>
      `Your sign-in has ended, or the service does not accept it. Sign in at ${host}, in a window of its own. What you typed here stays.`,
    notAccepted: "The service does not accept this token: it has ended, or is for another service. Paste another.",
    waits: "Go on in the window that has opened. If you closed it, open it again.",
    blocked: "Your browser did not let the window open. Allow this page to open windows, then try again.",
    refused:
      "You were not signed in: you, or the sign-in service, said no. Try again, or ask whoever runs the service for an account.",
    failed: "The sign-in service could not be reached, or its answer made no sense. Try again.",
    again: "Open the window again",
    leave: "Sign out",
    signedIn: "A token is in use",
    signOut: "Forget the token",
  },

  models: words({ churn: "Churn", nbo: "Next best offer", rfm: "RFM" }),
  questions: words({
    churn: "Will this customer leave?",
    nbo: "Which offer next?",
    rfm: "How valuable, how recent?",
  }),

  risk: { high: "High risk", medium: "Medium risk", low: "Low risk", lapsed: "Lapsed" },
  riskShort: { high: "High", medium: "Medium", low: "Low", lapsed: "Lapsed" },

  /** What the project's own features are; another warehouse's may be others. */
  features: words({
    revenue: "spent in the last 365 days",
    transaction_count: "purchases in the last 365 days",
    days_since_last: "days since the last purchase",
    avg_transaction_value: "spent in a purchase, on average",
    lifetime_value: "spent ever",
    customer_age_days: "days since the first purchase",
    monthly_revenue: "spent in the last 30 days",
    product_count: "different products bought",
    service_count: "different services used",
    engagement_score: "percent of the last 12 weeks with a purchase",
    offers_seen: "offers shown so far",
    offers_taken: "offers taken so far",
    offer_take_rate: "share of the offers that were taken, smoothed",
    days_since_offer: "days since the last offer, at most 365",
    lifetime_transaction_count: "purchases ever",
  }),

  banner: {
    mockTitle: "Some of what you see is invented",
    mockAll: "The service is in mock mode: every answer is made up, and always the same for the same customer.",
    mockTypes: (names: string) => `No ${names} model is published, so those answers are made up. Do not act on them.`,
    mockWhat: "Train on your own data and publish: loyalty train, then loyalty models publish.",
    placeholderTitle: "These models are placeholders",
    placeholder: (names: string) =>
      `${names}: trained on generated data. They show how the service works, not who will leave or what to offer.`,
    placeholderWhat: "Train on your own data: make train on this machine, or loyalty train on your warehouse.",
    brokenTitle: "A published model is not served",
  },

  status: {
    title: "Status",
    lead: "Are the models healthy, and how fresh is what they see?",
    exists: "File Exists",
    loaded: "Loaded",
    yes: "Yes",
    no: "No",
    version: "Version",
    trained: "Trained",
    trainedOn: (rows: number, data: string) => `${plural(rows, "row", "rows")}, ${data}`,
    kind: "Kind",
    real: "Trained model",
    placeholder: "Placeholder",
    mock: "Mock answers",
    calculated: "Calculated, no model",
    quality: "Quality",
    notMeasured: "Not measured",
    notMeasuredWhy: "Nobody has measured what this version is worth in customers. Train it again on your own data.",
    notMeasuredOfPlaceholder: "Not measured on real customers",
    qualityOfPlaceholder: "A placeholder's figures are of generated data: they say nothing of your customers.",
    words: words({
      "no better than the rule": "No better than the rule",
      useful: "Useful",
      strong: "Strong",
    }),
    wordRule:
      "The word compares the customers found with those that the rule “no purchase for N days” finds on the same held-out customers, with its best N.",
    offerWord: (overShown: number, overBest: number, best: string) =>
      overShown < 0
        ? "Worse than what was shown"
        : overShown === 0
          ? "Cannot tell at this size"
          : overBest > 0
            ? `Better than what was shown, and than ${best} for everyone`
            : overBest < 0
              ? `Better than what was shown, but not than ${best} for everyone`
              : `Better than what was shown; whether also than ${best} for everyone cannot be told`,
    offerRule: "The words compare conversions on held-out exposures, each by its whole 95 % interval.",
    notTold: "What this does not tell you",
    notToldOf: words({
      churn:
        "Why a customer leaves, or whether a campaign would keep them. It was measured on the past; your customers may have changed since.",
      nbo: "Whether the customer would have bought without the offer, or how well an offer does that nobody has been shown yet.",
      rfm: "What a customer will do. RFM describes what was, with scores relative to your own customers if cut points are published.",
    }),
    advice: "Training says meanwhile",
    lapsedAfter: (feature: string, days: number) =>
      feature === "days_since_last"
        ? `no purchase for over ${plural(days, "day", "days")}`
        : `${feature} over ${plural(days, "day", "days")}`,
    lapsedUnknown: "this version was trained before there was a rule for it",
    offersUnknown: "this version was trained before it was looked at which of them are learnt",
    noFileNeeded: "None needed: calculated",
    published: (day: string) => `published on ${day}`,
    offersLearnt: "Offers",
    offersOf: (learnt: number, tooFew: string[]) =>
      `${plural(learnt, "offer is", "offers are")} learnt` +
      (tooFew.length ? `; too little is known of ${tooFew.join(", ")}, so they are not recommended` : ""),
    report: "Open the report",
    cutPoints: "Cut points",
    score: "Score",
    cutPointsOf: { recency: "Recency, days", frequency: "Frequency, purchases", monetary: "Monetary, spent" },
    fixedCutPoints: "fixed ones, not your own",
    ownCutPoints: "published with the models",
    service: "Service",
    features: "Features",
    featuresAsOf: "Features as of",
    customers: "Customers",
    runtime: "Runtime",
    mockMode: "Mock mode",
    mockModes: words({
      auto: "auto: only where no model was published",
      true: "on: every answer is made up",
      false: "off",
    }),
    noFeatures: "No feature snapshot",
    stale: (when: string) => `${when}: predictions say how it was then.`,
  },

  versions: {
    title: "Versions",
    lead: "What lies in the model bucket, newest first. A change is taken up within a minute, with no failed request.",
    version: "Version",
    created: "Trained",
    rows: "Rows",
    state: "State",
    active: "Active",
    placeholder: "Placeholder",
    broken: "Cannot be served",
    forced: "Forced",
    action: "Action",
    use: "Use this version",
    useOf: (name: string, version: string) => `Use this version: ${name} ${version}`,
    empty: "No version is published.",
    emptyWhat: "Publish a model set: loyalty models publish.",
    more: (hidden: number) => `${plural(hidden, "older version is", "older versions are")} not shown.`,
    rollback: "Roll back",
    rollbackTo: (created: string) => `Rolling back returns to the set of ${created}.`,
    noRollback: "There is no earlier set to roll back to.",
    noScope: "Your account may look at the models, but not change which are active.",
    confirmPromote: "Make this version active?",
    confirmRollback: "Go back to the set before?",
    placeholderFigures: "A placeholder's figures are of generated data, so none are shown.",
    toPlaceholder: (names: string) =>
      `${names}: this version is a placeholder, trained on generated data. It shows how the service works, not who will leave or what to offer.`,
    takingUp: "The service takes it up within a minute. What is above shows it as soon as it has.",
    changes: (name: string, from: string, to: string) => `${name}: from ${from} to ${to}`,
    stays: (name: string, version: string) => `${name}: stays ${version}`,
    effect: "Every answer comes from the new set within a minute. You can go back.",
    rollbackEffect:
      "Every answer comes from that set within a minute. To return to the present one, use its versions in the tables.",
    doPromote: "Make it active",
    doRollback: "Roll back",
    done: (what: string) => `Done. Now active: ${what}.`,
    unchanged: "It was active already. Nothing was changed.",
    failed: "Nothing was changed",
    force: "Make it active all the same, because",
    forceHint: "The reason is kept with the set.",
  },

  report: {
    title: (name: string) => `Report: ${name}`,
    back: "Back to the status",
    bands: "What each band meant",
    bandsLead: "Customers who were held out of training: what was predicted, and what happened.",
    band: "Band",
    customers: "Customers",
    predicted: "Predicted",
    happened: "Left",
    happenedShare: "Share who left",
    range: "95 % range",
    tenths: "By tenth of the score",
    tenthsLead:
      "Active customers who were held out, the likeliest to leave first. A good model's bars follow its dots.",
    tenth: "Tenth",
    lists: "If you write to the likeliest",
    list: "List",
    model: "This model finds",
    rule: "The best rule finds",
    chance: "Chance finds",
    word: "Word",
    listSize: (part: number, customers: number) => `${share(part)} of the active: ${count(customers)}`,
    days: (days: number) => `no purchase for ${plural(days, "day", "days")}`,
    offers: "Value of the recommendation",
    offersLead: "Conversions for each held-out exposure, by the doubly robust estimator.",
    recommended: "What the model recommends",
    shown: "What was shown",
    best: (code: string) => `${code} for everyone`,
    metrics: "Metrics",
    metric: "Metric",
    nameOf: (metric: string) =>
      words({ churned_share: "Share who left" })[metric] ??
      metric
        .split("_")
        .map((word, place) =>
          ["auc", "ece", "pr"].includes(word)
            ? word.toUpperCase()
            : place
              ? word
              : word.charAt(0).toUpperCase() + word.slice(1),
        )
        .join(" "),
    value: "Value",
    evaluation: "All that was measured",
    thresholds: "Thresholds",
    data: "Data",
    period: "Period",
    objective: "Objective",
    featuresUsed: "Features",
    none: "This version has no quality in customers. Train it again to have it measured.",
  },

  predict: {
    title: "Test ML Predictions",
    lead: "Try what the service answers for one customer, or for up to 100.",
    mode: "Mode",
    single: "Single Customer",
    batch: "Batch (Multiple Customers)",
    type: "Prediction type",
    types: words({ churn: "Churn", nbo: "NBO", rfm: "RFM", all: "All three" }),
    id: "Customer ID",
    ids: "Customer IDs, one per line",
    idHint: "The id in your warehouse, such as 1",
    idsHint:
      "Or with commas, semicolons or tabs between them. Quotes and repeated ids are tidied; a blank within an id stays.",
    count: (ids: number) => `${count(ids)} of 100`,
    tooMany: (over: number) =>
      `${plural(over, "id", "ids")} too many: a batch has at most 100. For more, use a file (see Files).`,
    duplicates: (found: number) => `${plural(found, "repeated id is", "repeated ids are")} asked for once.`,
    tooLong: (found: number) =>
      `${plural(found, "id has", "ids have")} over 256 characters and cannot be a customer's.`,
    run: "Run Prediction",
    runBatch: "Run Batch Prediction",
    running: "Predicting …",
    empty: "Nothing was asked yet.",
    emptyWhat:
      "Type one customer's id, or paste many, choose a prediction type, and run it. In the demo, most ids from 1 to 2,500 exist.",
    noAnswer: "There is no answer",
    needed: "Type an id first.",
    idTooLong: "An id has at most 256 characters. Look whether more was pasted than the id.",
    neededBatch: "Type at least one id first.",
    asOf: (day: string) => `Made from features as of ${day}.`,
    byModel: (name: string, version: string) => `${name} ${version}`,
    mockAnswer: "Mock: made up, do not act on it.",
    placeholderAnswer: "From a placeholder: it shows how, not who.",
    featuresUsed: (features: number, day: string | null) =>
      `Made from ${plural(features, "feature", "features")}${day === null ? "" : ` as of ${day}`}`,
    feature: "Feature",
    featureValue: "Value",
    featureMeaning: "What it is",
    noValue: "none",
    ofHundred: (share: Ranged) =>
      `Of 100 active customers like this, ${ofHundred(share)} left (${rangeOfHundred(share)}).`,
    ofHundredLapsed: (share: Ranged) =>
      `Of 100 lapsed customers like this, ${ofHundred(share)} stayed away (${rangeOfHundred(share)}): to win back, not to keep.`,
    counted: (customers: number, happened: number, band: string | null) =>
      `${plural(customers, "held-out customer", "held-out customers")} ` +
      (band === "lapsed"
        ? `who had lapsed, ${count(happened)} stayed away`
        : `with ${band ? `${band} risk` : "a similar probability"}, ${count(happened)} left`),
    sentenceUnknown: (probability: number) =>
      `The model gives ${share(probability)}. How many customers like this left was not measured for this version.`,
    sentenceLapsed: "This customer has not bought for so long that they count as lapsed: to win back, not to keep.",
    sentenceOffer: (offer: string, probability: number) =>
      `Send ${offer}: ${share(probability)} take it, by this model.`,
    sentenceExplored: (offer: string) =>
      `Send ${offer}: too little is known of it, and this customer is one of those with whom it is tried.`,
    sentenceNoOffer: "Too little is known of every offer to recommend one.",
    sentenceRfm: (name: string, days: number, purchases: number, money: number) =>
      `${name}: bought ${days < 1 ? "today" : `${plural(days, "day", "days")} ago`}, ${plural(purchases, "time", "times")}, for ${amount(money)} in all.`,
    probability: "Probability of leaving",
    offer: "Offer",
    evidences: {
      learnt: "enough is known",
      too_few: "too little is known",
      unknown: "not looked at",
    } as Record<Evidence, string>,
    explored: "tried on purpose, so that more becomes known",
    evidence: "Evidence",
    runnersUp: "All offers: those of which enough is known, likeliest first, then the others",
    takes: "Would take it",
    scoresOnly: "It says what was bought, beside your other customers; it does not predict who leaves.",
    bandsOf: (high: number, medium: number) =>
      `High risk from ${probability(high)}, medium from ${probability(medium)}.`,
    recency: "Recency",
    frequency: "Frequency",
    monetary: "Monetary",
    score: (value: number) => `${value} of 5`,
    days: (value: number) => plural(value, "day", "days"),
    purchases: (value: number) => plural(value, "purchase", "purchases"),
    customers: (members: number) => plural(members, "customer", "customers"),
    customer: "Customer",
    risk: "Risk",
    code: "RFM code",
    segment: "RFM segment",
    results: "Results",
    filter: "Filter by id, band, offer or segment",
    noMatch: "No result matches the filter.",
    summary: (total: number, successful: number, failed: number) =>
      `${plural(total, "customer", "customers")}: ${count(successful)} answered, ${count(failed)} failed`,
    failed: "Customers without an answer",
    error: "What is wrong",
    errorCode: "Code",
    csv: "Download CSV",
    copyCurl: "Copy as curl",
    copied: "Copied",
    copyFailed: "The browser did not let the page copy. Mark the text below and copy it.",
    rawJson: "Raw JSON",
    noneOfThem: "No customer has an answer. The table below says why.",
  },

  why: {
    title: "Why",
    typical: { churn: "The typical active customer", nbo: "The typical active customer", rfm: "The typical customer" },
    /** Of a score that is printed, of the typical customer's, and of what lies between. */
    adds: (typical: string, baseline: string, raises: string | null, lowers: string | null, score: string) => {
      const [up, down] = [
        raises && `reasons that raise it add ${raises}`,
        lowers && `reasons that lower it take ${lowers} away`,
      ];
      const between = [up, down].filter(Boolean).join(", and ");
      return between
        ? `${typical} has ${baseline}. From there, ${between}, which makes ${score}.`
        : `${typical} has ${baseline} too: nothing here makes a difference.`;
    },
    points: (value: number) => `${amountOfPoints(value)} points`,
    wholePoints: (value: number) => plural(value, "point", "points"),
    offer: (offer: string) =>
      `For ${offer} rather than the other offers of which enough is known: how far its probability is above their mean.`,
    offerAlone: (offer: string) => `For ${offer}, the only offer of which enough is known.`,
    scores: "Recency, frequency and monetary have 1 to 5 points each, 15 in all.",
    lapsed: "That the customer has lapsed is a rule of its own, which is no part of these reasons.",
    sampled:
      "So many features are estimated from a sample of their combinations: each number is give or take the one behind it.",
    giveOrTake: (error: number) => ` ± ${amountOfPoints(error)}`,
    unit: "points",
    sides: {
      churn: ["less likely to leave", "more likely to leave"],
      nbo: ["speaks against it", "speaks for it"],
      rfm: ["fewer points", "more points"],
    },
    rest: (reasons: number) => plural(reasons, "smaller reason", "smaller reasons"),
    note: "This is what the model makes of each. Features that move together share what they do.",
    none: (code: string | undefined, isMock: boolean, sentence: string | undefined) =>
      isMock
        ? "There are no reasons: this answer is made up. Train on your own data and publish, and they show here."
        : (words({
            NO_BASELINE:
              "There are no reasons: this version was trained before there were any. Train again and publish, and they show here.",
            NOT_EXPLAINED:
              "There are no reasons: they do not add up to this prediction. Train the model again and publish, and they show here.",
          })[code ?? ""] ??
          `There are no reasons. ${sentence ?? "The service may be older than this page: load it again."}`),
  },

  whatIf: {
    title: "What if",
    lead: "Move a slider or type a number, and see what the model says of such a customer. All else stays as it is.",
    caution:
      "This is what the model makes of a customer like that. It is not what would happen if you made this customer so.",
    none: "There is nothing to change: this answer is made up, and not made from any feature.",
    asItIs: "As it is",
    asIf: "With your changes",
    own: (value: string, typical: string | null) =>
      `As it is: ${value}${typical === null ? "" : `; typical: ${typical}`}`,
    back: "Back to as it is",
    backOf: (words: string) => `Back to as it is: ${words}`,
    backAll: "All back to as it is",
    more: (features: number) => plural(features, "more feature", "more features"),
    /** A feature by its words, and with a value in its place. */
    named: (before: string, after: string) => [before, "…", after].filter(Boolean).join(" "),
    value: (before: string, value: string, after: string) => [before, value, after].filter(Boolean).join(" "),
    waits: "Predicting …",
    unchanged: "You have changed nothing yet.",
    failed: "There is no answer to your changes",
    atSlider: "One of your numbers cannot be. What is wrong stands at its slider.",
    probabilityOnly: (value: string) => `Probability of leaving: ${value}`,
    offerOnly: (offer: string, value: string) => `${offer}: ${value} take it`,
    otherOffer: (before: string) => `It is the best offer now, in place of ${before}.`,
    rfm: (value: string) => `RFM: ${value}`,
    rfmOf: (code: string, name: string, points: number) => `${code} ${name}, ${plural(points, "point", "points")}`,
    instead: (now: string, before: string, moved: string) => `${now} instead of ${before}, ${moved} points.`,
    rfmInstead: (now: string, before: string) => `${now}, instead of ${before}.`,
    asBefore: (now: string) => `${now}, as it is without your changes.`,
    notRead: (now: string) => `${now}. It reads nothing that you changed.`,
    nothing: "none",
    change: (now: string, before: string) => `${now} instead of ${before}`,
    changes: (said: string[]) => `Changed: ${said.join("; ")}.`,
    whyAsIf: "Why, with your changes",
    limits: (least: number | null, most: number | null, isAbove: boolean, isBelow: boolean, whole: boolean) => {
      const low = least === null ? "" : `${isAbove ? "above" : "at least"} ${amount(least)}`;
      const high = most === null ? "" : `${isBelow ? "below" : "at most"} ${amount(most)}`;
      const bounds = [low, high].filter(Boolean).join(" and ");
      return `Give a ${whole ? "whole number" : "number"}${bounds ? `, ${bounds}` : ""}.`;
    },
  },

  segments: {
    title: "Segments",
    lead: "Groups of customers, and how their risk moves.",
    empty: "There is no segment yet.",
    emptyWhat: "Define one: by a rule, a list, a risk band, an RFM name or an offer.",
    add: "New segment",
    name: "Segment",
    kind: "Defined by",
    kinds: words({
      rule: "Rule",
      customer_ids: "List of customers",
      rfm_segment: "RFM name",
      churn_risk: "Risk band",
      recommended_offer: "Best offer",
      combined: "Combined",
    }),
    members: "Members",
    average: "Average risk",
    averageActive: "Average risk of the active",
    trend: "Trend of the average risk",
    since: "Since last time",
    overview: "Now, and since last time",
    averageOf: (average: number) => `${probability(average)} average risk`,
    noAverage: "no answer for any member",
    noStatistics: "Its statistics cannot be had at the moment: open it to see why.",
    changed: (moved: number) => `${points(moved)} points since last time`,
    onePoint: "no earlier snapshot to compare with",
    points: (points: number) => plural(points, "point", "points"),
    more: "Next page",
    first: "First page",
    find: "Go to a segment by its id",
    open: "Open",
    edit: "Edit",
    remove: "Delete",
    back: "All segments",
    counting: "The members are being counted …",
    tooFew: (members: number) =>
      `Only ${plural(members, "member", "members")}: too few for shares to mean much. Under 100, look at the customers one by one.`,
    bands: "Risk bands",
    bandsLead: (answered: number) => `${plural(answered, "member", "members")} with an answer.`,
    offers: "Best offers",
    offersLead: "The offer that is best for each member.",
    best: "Hand on the likeliest to take an offer",
    bestHowMany: "How many",
    bestWrong: (most: number) => `Give a whole number from 1 to ${count(most)}.`,
    bestHint: "The likeliest to take it first; members who have lapsed are among them.",
    bestFile: (members: number) => `Score the best ${count(members)} as a file`,
    noOffers: "No member has an answer, so no offer is the best for anyone.",
    rfm: "RFM segments",
    rfmLead: "How recent and how frequent, in names. Choose one to see it as a segment.",
    moved: "How it moved",
    movedLead: "Since the snapshot before, and why.",
    firstMeasured: "This is the first snapshot that it was measured at. How it moves shows from the next one on.",
    causes: words({
      customers: "because customers moved",
      model: "because the model changed",
      definition: "because the definition changed",
      inseparable: "by causes that cannot be told apart",
      total: "in all",
    }),
    cause: "Why",
    memberChange: "Members",
    averageChange: "Average risk, points",
    highChange: "High risk, points",
    snapshot: "Snapshot",
    missing: "Who is missing, and why",
    missingLead: (members: number) => `Of ${plural(members, "member", "members")}, by prediction type.`,
    answered: "With an answer",
    reason: (code: string) =>
      words({
        CUSTOMER_NOT_FOUND: "Not in the warehouse's snapshot",
        NO_PURCHASES: "Have bought nothing yet",
        MISSING_FEATURES: "Lack a feature that the model reads",
        INVALID_FEATURES: "Have a feature value that cannot be",
        "": "Without an answer; why was not kept",
      })[code] ?? code,
    sum: "All members",
    missingWho: "Score the members as a file to see who they are: its errors name each of them.",
    highShare: "Share at high risk",
    numbers: "The numbers",
    drivers: "What drives it here",
    driversLead:
      "How many points each feature moves the answer of a member, up or down, on average against the typical customer.",
    driversOf: { churn: "What drives churn here", nbo: "What drives the best offer", rfm: "What drives RFM" },
    driversFrom: (customers: number, answered: number, isActive: boolean) => {
      const who = isActive ? "member who has not lapsed" : "member with an answer";
      const many = isActive ? "members who have not lapsed" : "members with an answer";
      return customers < 500 || customers >= answered
        ? `From ${plural(customers, who, many)}.`
        : `From a sample of ${count(customers)} ${many}.`;
    },
    noDrivers: (isMock: boolean, isMeasured: boolean) =>
      isMock
        ? "Nothing to say: these answers are made up. Train on your own data and publish."
        : isMeasured
          ? "Nothing to say: no member has an answer that could be explained."
          : "Not measured: the model was trained before there were reasons, or the members were counted before. Train again and publish; at the next snapshot it shows here.",
    drift: "Drift: are these still the customers the model learnt from?",
    driftLead: `All customers against those at training. PSI says how far a feature moved (under ${amount(0.1)} little, over ${amount(0.25)} much); weight, from 0 to 1, what it does to the score; luck, how likely chance alone moves so many so far.`,
    driftSummary: (alarms: number, unknown: number, rows: number) =>
      alarms === 0
        ? unknown === 0
          ? "Nothing that a model leans on has moved."
          : `${count(unknown)} of ${count(rows)} moved, and what the models make of them is unknown.`
        : `${count(alarms)} of ${count(rows)} moved so far that a model should be trained again, or the data looked at.`,
    driftWord: (word: DriftWord, isScore: boolean) =>
      ({
        alarm: isScore ? "moved" : "moved, and the model leans on it",
        unweighted: isScore ? "moved a little" : "moved, but the model hardly looks at it",
        unknown: "moved; what the model makes of it is unknown",
        luck: "no further than by luck",
        stable: "as at training",
        too_few: "too few to tell",
      })[word],
    weight: "Weight",
    byLuck: "Luck",
    odds: (chance: number) => (chance < 0.001 ? `< ${decimals(0.001)}` : decimals(chance)),
    noDrift: "The models carry no training distribution to compare with. Train them again to see drift.",
    score: "the score itself",
    driftRest: (rows: number) => plural(rows, "more row", "more rows"),
    export: "Score all members as a file",
    exported: "The job has begun.",
    exportedJob: "Follow the job",
    notStarted: "The job was not started",
    notDeleted: "The segment was not deleted",
    notMade: "The segment was not made",
    deleteConfirm: (name: string) => `Delete ${name}?`,
    deleteEffect: "Its definition and its history go. Customers and models stay.",
    likeliest: "The likeliest to leave",
    likeliestLead: (shown: number, members: number) =>
      `The ${count(shown)} with the highest probability, of ${plural(members, "member", "members")}.`,
    message: "Note",
    spread: "How the risk is spread",
    spreadLead:
      "Members by their probability of leaving, in steps of 5 points. Choose the likeliest by the slider, or by a click on a bar.",
    onlyCell: (name: string, r: number, f: number, members: number) =>
      `Only ${plural(members, "member", "members")} with recency ${r} and frequency ${f}, ${name}.`,
    showAll: "Show all again",
    ofBin: ({ begins, ends, by_risk }: Schemas["RiskBin"]) =>
      `${share(begins)} to ${share(ends)}: ${plural(
        Object.entries(by_risk).reduce((sum, [band, members]) => (band === "lapsed" ? sum : sum + members), 0),
        "member",
        "members",
      )}`,
    binRange: (begins: number, ends: number) => `${share(begins)} to ${share(ends)}`,
    slider: "Choose members with a probability of at least",
    chosen: "Chosen",
    ofActive: (members: number) => `of ${plural(members, "member", "members")} who have not lapsed`,
    outcomes: { leave: "Of them will leave", stay: "Would have stayed" },
    byProbabilities: "by their probabilities",
    expected: few,
    heldOut: (expected: Ranged) => `${few(expected.value)} (${outwards(expected)})`,
    byHeldOut: "by what happened to held-out customers with such probabilities",
    noHeldOut: "This version was not measured on held-out customers.",
    makeSegment: (members: number) => `Make a segment of these ${count(members)}`,
    fileOf: (members: number) => `Score these ${count(members)} as a file`,
    likeliestOf: (name: string, least: string, cell: Cell | null) => {
      const of = cell ? `, R ${cell.r_score} F ${cell.f_score}` : "";
      return `The likeliest (${least} and more${of}) of ${name}`.slice(0, 200);
    },
    likeliestHowMany: "Or write to this many, the likeliest to leave",
    likeliestWrong: (members: number) => `Give a whole number from 1 to ${count(members)}.`,
    likeliestFile: (members: number) => `Score the likeliest ${count(members)} as a file`,
    likeliestHint: "The likeliest to leave first; members who have lapsed are not among them.",
    lapsedLeftOut: (lapsed: number) => `${plural(lapsed, "lapsed member is", "lapsed members are")} not counted here.`,
    nobodyToLose: "There is nobody here to lose",
    allLapsed: (lapsed: number) =>
      `${plural(lapsed, "member has", "members have")} lapsed already: they are to win back, and no probability of leaving says how.`,
    map: "RFM map",
    mapLead: "Choose a cell to see the risk of its members alone.",
    mapFailed: "The map comes with the spread of the risk, which could not be loaded.",
    mapSource: "Members by recency (up: more recent) and frequency (right: more often), scored 1 to 5.",
    defineRfm: (name: string) => `Define a segment of all who are ${name}`,
    mapCell: (name: string, r: number, f: number, members: number) =>
      `${name}, recency ${r}, frequency ${f}: ${plural(members, "member", "members")}`,
    recencyScore: (score: number) => `R ${score}`,
    frequencyScore: (score: number) => `F ${score}`,
    exportTitle: "Hand it on",
    bin: "Probability",
    definition: "Definition",
    inAll: "Whoever is in all of these:",
    everyone: "Every customer",
    listed: (customers: number) => `A list of ${plural(customers, "customer", "customers")}`,
    ofKind: {
      churn_risk: (band: string) => `Customers in the risk band ${band}`,
      rfm_segment: (name: string) => `Customers whose RFM name is ${name}`,
      recommended_offer: (code: string) => `Customers whose best offer is ${code}`,
    },
    matching: { and: "Customers who match all of these:", or: "Customers who match any of these:" },
    condition: (feature: string, operator: string, value: string) => `${feature} ${operator} ${value}`,
    moreThanConditions: "A rule that is more than conditions; below as the API has it",
    definitionJson: "As the API has it",
    asOf: (day: string) => `Features as of ${day}.`,
    feature: "Feature",
    model: "Model",
    psi: "PSI",
    drifted: "How it moved",
    memberLists: "Members",
  },

  builder: {
    title: "Define a segment",
    titleEdit: (name: string) => `Change ${name}`,
    name: "Name",
    id: "Id",
    idHint: "1 to 64 letters, digits, _ or -, beginning with a letter or a digit. It is the segment's address.",
    kind: "Who is in it",
    kindHint: "Choose one or several. Of each member, all that you choose is true: each narrows the ones before it.",
    and: "and",
    needKind: "Choose at least one way to say who is in it.",
    predictions: words({
      churn_probability: "Probability of leaving, 0 to 1",
      churn_risk: "Risk band",
      rfm_segment: "RFM name",
      recommended_offer: "Code of the best offer",
      r_score: "RFM: recency score, 1 to 5",
      f_score: "RFM: frequency score, 1 to 5",
      m_score: "RFM: monetary score, 1 to 5",
      recency: "RFM: days since the last purchase",
      frequency: "RFM: number of purchases",
      monetary: "RFM: money spent",
    }),
    match: "Members match",
    all: "all of these",
    any: "any of these",
    feature: "Feature",
    operator: "Is",
    value: "Value",
    operators: words({
      ">=": "at least",
      ">": "more than",
      "<=": "at most",
      "<": "less than",
      "==": "exactly",
      "!=": "not",
    }),
    addCondition: "Add a condition",
    removeCondition: "Remove this condition",
    ids: "Customer IDs, one per line",
    tooManyIds: "These are more ids than fit here: choose them as a file.",
    file: "Or a file of ids",
    fileHint: "Up to a million: one a line, CSV with a column customer_id, or a JSON list. Also as .gz, up to 32 MB.",
    listed: (customers: number) => plural(customers, "id", "ids"),
    dropList: "Type a list instead",
    band: "Risk band",
    rfmName: "RFM name",
    offer: "Offer code",
    raw: "The rule is more than this builder shows. It is kept as it is, as JSON:",
    rawWrong: "This is not JSON. Correct it, or go back to the conditions.",
    save: "Save the segment",
    saving: "Saving …",
    notSaved: "The segment was not saved",
    needName: "Give the segment a name.",
    needId: "Give the segment an id of 1 to 64 letters, digits, _ or -.",
    needFeature: "Choose a feature for each condition.",
    needValue: `Give each condition a value: a number, such as ${count(1000)} or ${amount(0.5)}, unless it offers you texts.`,
    needIds: "Give at least one id.",
    needOffer: "Give the offer's code.",
    conflict: "Someone else has changed this segment since you opened it.",
    gone: "Someone else has deleted this segment since you opened it. Save again to make it anew, or leave it deleted.",
    conflictLead: "Compare the two, then decide. Nothing was saved.",
    theirs: (version: number) => `Saved by someone else (version ${version})`,
    yours: "Yours",
    keepTheirs: "Drop mine, take theirs",
    saveMine: "Save mine over theirs",
    exists: "A segment with this id exists already.",
    preview: "Preview",
    previewLead: "How many are in it, and who, before anything is stored.",
    previewed: (members: number, unknown: number) =>
      `${plural(members, "member", "members")}${unknown ? `, of whom ${count(unknown)} have no answer` : ""}`,
    first: "The first of them",
    previewing: "Counting …",
  },

  files: {
    title: "Files",
    lead: "Score every row of a file. Drop it in, and download the answers.",
    drop: "Drop files here, or choose some",
    dropHint: "CSV, JSON lines (also as .gz or .zst) or Parquet, each up to 5 GB, with a column customer_id.",
    choose: "Choose files",
    keep: "Keep my own columns",
    keepHint: "The predictions then have all the file's columns, such as a name or a city, after the answer.",
    type: "Prediction type",
    formats: "What a file looks like",
    formatsLead:
      "A column customer_id is all that it needs. If it has columns of features too, their values are used; else those of the newest snapshot.",
    sample: "Download a sample",
    unknownFormat: (name: string) =>
      `${name} is not of a format that the service reads: CSV, JSON lines (both also as .gz or .zst) or Parquet. Save it as one of these.`,
    emptyFile: (name: string) => `${name} is empty. Choose a file that has rows.`,
    uploading: (name: string) => `Sending ${name}`,
    cancel: (name: string) => `Cancel ${name}`,
    notSent: (name: string) => `${name} was not sent`,
    sent: (name: string) => `Sent: ${name}. The list below shows how far it is scored.`,
    jobs: "Jobs",
    empty: "No file was scored yet.",
    emptyDrop: "Drop a file above.",
    emptyWhat: "Files that are put under incoming/ of the data bucket show here too.",
    job: "Job",
    status: "Status",
    statuses: words({
      awaiting_upload: "Waits for its file",
      queued: "Queued",
      running: "Running",
      succeeded: "Done",
      partly_failed: "Done in part",
      failed: "Failed",
    }),
    started: "Started",
    progress: "Progress",
    rows: "Rows",
    errors: "Errors",
    speed: "Speed",
    rate: (rows: number) => `${plural(rows, "row", "rows")} a second`,
    ofTotal: (done: number, total: number | null) =>
      total === null ? count(done) : `${count(done)} of ${count(total)}`,
    download: (name: string) =>
      words({
        predictions: "Download predictions",
        errors: "Download errors",
        summary: "Download the summary",
        files: "Download the list of its files",
      })[name] ?? `Download ${name}`,
    columns: words({ line: "Line", customer_id: "Customer", code: "Code", error: "What is wrong" }),
    format: "Format",
    looksLike: "What it looks like",
    formatRows: [
      { name: ".csv, .tsv", what: "A header, then a line for each customer, with commas, semicolons, tabs or bars" },
      { name: ".jsonl, .ndjson, .json", what: 'A JSON object on each line: {"customer_id": "1"}' },
      { name: ".parquet", what: "A table with a column customer_id" },
      { name: ".csv.gz, .json.zst …", what: "Each of the texts, compressed by gzip or Zstandard" },
      { name: ".txt, .gz, part-0000 …", what: "Where the name says nothing, the content decides which of these it is" },
    ],
    firstErrors: "The first errors",
    showErrors: "Show the first errors",
    line: "Line",
    what: (request: Record<string, unknown>) =>
      String(request["segment_id"] ?? request["prefix"] ?? request["key"] ?? request["format"] ?? ""),
    results: "Results",
    stop: "Stop and remove",
    stopAsked: (name: string) => `Stop ${name}?`,
    stopEffect: "It stops within seconds, and what it has made so far is removed. The file that is scored stays.",
    remove: "Remove",
    removeAsked: (name: string) => `Remove ${name}?`,
    removeEffect: "The job and its results are removed. The file that was scored stays.",
    notRemoved: "The job was not removed",
    older: "Older jobs",
    newest: "Newest jobs",
    refresh: "Refresh",
    linksExpire: "Links are good for 15 minutes. Open the job again for new ones.",
  },
};
