using System.Text;

namespace Fairlead.Providers.Simulated;

/// <summary>Random plain sentences from a small vocabulary. Pure.</summary>
internal static class SentenceGenerator
{
    private static readonly string[] Subjects = ["The harbour", "A small crew", "The pilot", "Every rope", "The tide", "An old chart",
        "The signal lamp", "Our watch", "The northern wind", "A passing ferry"];
    private static readonly string[] Verbs = ["keeps", "follows", "measures", "answers", "carries", "watches", "guides", "remembers",
        "crosses", "steadies"];
    private static readonly string[] Objects = ["the quiet water", "a long line of lights", "the next departure", "each careful turn",
        "the weight of the cargo", "a promise made at noon", "the shape of the coast", "two bells and a whistle",
        "the shortest safe course", "whatever the morning brings"];
    private static readonly string[] Endings = ["before the day is over", "without any hurry", "as the log book shows",
        "until the fog lifts", "for everyone on board", "in spite of the current", "and nobody is surprised", "three times out of four"];

    /// <param name="random">Source of all choices.</param>
    /// <param name="sentences">At least 1.</param>
    public static string Make(SimulatedRandom random, int sentences)
    {
        var text = new StringBuilder(sentences * 64);
        for (var i = 0; i < sentences; i++)
        {
            if (i > 0) text.Append(' ');
            text.Append(random.Pick(Subjects)).Append(' ').Append(random.Pick(Verbs)).Append(' ').Append(random.Pick(Objects));
            if (random.Below(2) == 0) text.Append(' ').Append(random.Pick(Endings));
            text.Append('.');
        }
        return text.ToString();
    }

    /// <summary>One lower-case word.</summary>
    public static string Word(SimulatedRandom random)
    {
        var words = random.Pick(Objects).Split(' ');
        return words[^1];
    }
}
