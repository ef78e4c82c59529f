import { save } from "../../csv";
import { SAMPLE } from "../../files";
import { ServiceBanners } from "../../parts/banner";
import { Table } from "../../parts/table";
import { address, route } from "../../route";
import { may } from "../../session";
import { text } from "../../text";
import { Drop } from "./Drop";
import { Job } from "./Job";
import { Jobs } from "./Jobs";

/** #/files, or one job: #/files/JOB. */
export function Files() {
  const id = route.value.path[1];
  return (
    <>
      <div class="heading">
        {id && (
          <p>
            <a href={address(["files"])}>{text.files.jobs}</a>
          </p>
        )}
        <h1>{id ? text.files.job : text.files.title}</h1>
        {!id && may("loyalty/predict") && <p>{text.files.lead}</p>}
      </div>
      <ServiceBanners />
      {id ? (
        <section class="card">
          <Job id={id} />
        </section>
      ) : (
        <>
          {may("loyalty/predict") && <Drop />}
          <Jobs />
          <Formats />
        </>
      )}
    </>
  );
}

function Formats() {
  return (
    <section class="card">
      <h2>{text.files.formats}</h2>
      <p>{text.files.formatsLead}</p>
      <Table
        caption={text.files.formats}
        rows={text.files.formatRows}
        rowKey={(row) => row.name}
        columns={[
          { key: "name", title: text.files.format, cell: (row) => <span class="code">{row.name}</span> },
          { key: "what", title: text.files.looksLike, cell: (row) => row.what },
        ]}
      />
      <div class="actions start">
        <button type="button" onClick={() => save("customers.csv", SAMPLE, "text/csv")}>
          {text.files.sample}
        </button>
      </div>
    </section>
  );
}
