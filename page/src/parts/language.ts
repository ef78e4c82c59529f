/**
 * uPlot makes a number format of `navigator.language` when it is loaded, and cannot be loaded where that is no language
 * tag. It is imported after this.
 */

import { usable } from "../format";

const { language } = navigator;
const known = usable([language]);
if (known !== language) Object.defineProperty(navigator, "language", { value: known, configurable: true });
