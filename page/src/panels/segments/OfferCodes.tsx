import { getCard, getStatus } from "../../api";
import { useResource } from "../../parts/resource";

/** The active model's offers, for a field of their codes. */
export function OfferCodes({ id }: { id: string }) {
  const offers = useResource(async (signal) => {
    const { version } = (await getStatus(signal)).models["nbo"] ?? {};
    return version ? (await getCard("nbo", version, signal)).offers : [];
  }, []);
  return (
    <datalist id={id}>
      {offers.value?.map((offer) => (
        <option
          key={String(offer["offer_code"])}
          value={String(offer["offer_code"])}
          label={String(offer["offer_name"])}
        />
      ))}
    </datalist>
  );
}
