import { render } from "preact";
import { App } from "./App";
import { follow } from "./route";
import "./styles/index.css";

follow();
const page = document.getElementById("page");
if (page) render(<App />, page);
