using System.Text;
using Fairlead.Providers.Quirks;

namespace Fairlead.Server.Documentation;

/// <summary>
/// Writes <c>docs/quirks.md</c> from the lists of quirks. <c>fairlead docs quirks</c> runs it; a test compares the result.
/// </summary>
internal static class QuirksPage
{
    public static string Write()
    {
        var page = new StringBuilder();
        page.Append("""
            # Quirks of providers

            Model servers with the same interface differ. This page lists every difference that Fairlead knows, and how it handles each.
            The page is generated from the program (`fairlead docs quirks`). Each row has a test with the row's id.

            | Treatment | Meaning |
            |---|---|
            | repaired | The client gets what a server without the quirk would have sent. |
            | failed attempt | Before content, Fairlead makes another attempt, or the call fails with a provider error. After content, the stream is [continued](rescue.md) by another attempt, or ends with the outcome `provider_lost`. |
            | refused | The request is refused with an error that names the field. |
            | dropped | The part is left out, and a warning says so. |

            The treatment is the same in every dialect, for whole responses and for streams, whether the response is translated or not. A response
            without a quirk is forwarded byte for byte where client and provider speak the same dialect.


            """.ReplaceLineEndings("\n"));
        Write(page, "Responses", ResponseQuirks.All);
        Write(page, "Requests", RequestQuirks.All);
        return page.ToString().TrimEnd('\n') + "\n";
    }

    private static void Write(StringBuilder page, string title, IReadOnlyList<Quirk> quirks)
    {
        if (quirks.Count == 0) return;
        page.Append("## ").Append(title).Append("\n\n| Id | Quirk | Seen at | Treatment | What Fairlead does |\n|---|---|---|---|---|\n");
        foreach (var quirk in quirks)
        {
            page.Append("| `").Append(quirk.Id).Append("` | ").Append(Cell(quirk.Title)).Append(" | ").Append(Cell(quirk.Seen))
                .Append(" | ")
                .Append(NameOf(quirk.Treatment)).Append(" | ").Append(Cell(quirk.Behaviour)).Append(" |\n");
        }
        page.Append('\n');
    }

    private static string Cell(string text) => text.Replace("|", "\\|", StringComparison.Ordinal);

    private static string NameOf(QuirkTreatment treatment) => treatment switch
    {
        QuirkTreatment.Repaired => "repaired",
        QuirkTreatment.FailedAttempt => "failed attempt",
        QuirkTreatment.Refused => "refused",
        _ => "dropped",
    };
}
