using System.Buffers;
using System.Text;

namespace Fairlead.Policies.Matching;

/// <summary>The words and phrases that <see cref="InjectionHeuristics"/> looks for, in any case.</summary>
internal static class InjectionWords
{
    /// <summary>How one language orders to ignore instructions.</summary>
    /// <param name="HasSpaces">Verbs count at the start of a word only.</param>
    /// <param name="Verbs">Verbs such as ignore and forget.</param>
    /// <param name="Instructions">Words for instructions.</param>
    /// <param name="Earlier">Words for instructions that came before.</param>
    /// <param name="Yours">Words for instructions of the model, which say less.</param>
    internal sealed record Language(
        bool HasSpaces, string[] Verbs, SearchValues<string> Instructions, SearchValues<string> Earlier, SearchValues<string> Yours);

    /// <summary>The languages.</summary>
    public static readonly IReadOnlyList<Language> Languages =
    [
        Of("ignore|disregard|forget|override|bypass|neglect|do not follow|don't follow|do not obey|don't obey|stop following|stop obeying",
            "instruction|prompt|guideline|directive|directions|your rules|all rules|previous rules|safety rules|system message|restrictions",
            "previous|prior |above|earlier|preceding|foregoing|before this|so far|system|initial|original|developer|given to you|you were given|you have been given",
            "your|all |any |every"),
        Of("ignorier|ignoriere|vergiss|vergesst|vergessen sie|missachte|umgehe|befolge nicht|halte dich nicht",
            "anweisung|instruktion|vorgabe|befehl|regeln|prompt", "vorherig|bisherig|obig|vorig|früher|vorangegangen|vorangehend|ursprünglich|system",
            "deine|ihre|alle|sämtliche"),
        Of("ignore|oublie|oubliez|ne tiens pas compte|ne tenez pas compte|ne tiens plus compte|fais abstraction|contourne",
            "instruction|consigne|directive|règles|invite|prompt", "précédent|antérieur|ci-dessus|initiale|originale|d'avant|système",
            "tes |vos |toutes|tous "),
        Of("ignora|ignore|olvida|olvide|omite|desestima|haz caso omiso|no sigas|pasa por alto",
            "instrucci|indicaci|órdenes|ordenes|directrices|reglas|prompt", "anterior|previa|previo|precedente|de arriba|iniciales|originales|sistema",
            "tus |sus |todas|todos"),
        Of("ignora|dimentica|trascura|non seguire|non considerare", "istruzioni|regole|indicazioni|direttive|prompt",
            "precedent|di prima|qui sopra|iniziali|originali|sistema", "tue |tutte|tutti"),
        Of("ignore|ignora|esqueça|esquece|desconsidere|desconsidera|não siga", "instruç|regras|orientaç|diretrizes|comandos|prompt",
            "anterior|prévia|acima|iniciais|originais|sistema", "suas|tuas|todas|todos"),
        Of("negeer|vergeet|sla geen acht op|volg niet", "instructie|opdracht|regels|aanwijzing|prompt",
            "vorige|eerdere|voorgaande|bovenstaande|oorspronkelijke|systeem", "jouw|je |alle"),
        Of("zignoruj|ignoruj|zapomnij|pomiń|nie przestrzegaj", "instrukcj|poleceni|wytyczn|zasad|prompt",
            "poprzedni|wcześniejsz|powyższ|pierwotn|systemow", "swoj|twoj|wszystki"),
        Of("игнорируй|проигнорируй|игнорировать|забудь|не следуй|отбрось", "инструкц|указани|правил|команд|промпт",
            "предыдущ|прошл|вышеуказанн|выше|прежн|ранее|изначальн|системн", "свои|твои|все "),
        Of("ігноруй|проігноруй|забудь", "інструкц|вказівк|правил", "попередн|вище|раніше|системн", "свої|всі"),
        Of("yok say|görmezden gel|unut|dikkate alma", "talimat|yönerge|komut|kural", "önceki|yukarıdaki|evvelki|sistem", "tüm|bütün"),
        Of("abaikan|lupakan", "instruksi|perintah|aturan", "sebelumnya|di atas|sistem", "semua|seluruh"),
        Of("bỏ qua|quên", "hướng dẫn|chỉ dẫn|lệnh|quy tắc", "trước|ở trên|hệ thống", "tất cả|mọi"),
        Of("تجاهل|انس|تجاوز", "التعليمات|تعليمات|الأوامر|القواعد", "السابقة|أعلاه|السابق|النظام", "جميع|كل"),
        Of("अनदेखा|नज़रअंदाज़|नजरअंदाज|भूल जा", "निर्देश|आदेश|नियम", "पिछले|पूर्व|उपरोक्त|ऊपर", "सभी|सारे"),
        Of("忽略|無視|无视|忘记|忘記|不要遵守|不要理会|别管", "指令|指示|提示|说明|說明|规则|規則|命令", "之前|以上|先前|前面|上述|上面|此前|系统|系統|原来", "所有|全部|你的",
            hasSpaces: false),
        Of("無視|忘れ|従わない", "指示|命令|指令|プロンプト|ルール|説明", "以前|上記|これまで|前の|先ほど|今まで|システム|元の", "すべて|全て|あなたの", hasSpaces: false),
        Of("무시|잊어|잊고|따르지", "지시|명령|지침|프롬프트|규칙", "이전|위의|앞의|앞선|기존|시스템|지금까지", "모든|너의|당신의", hasSpaces: false),
    ];

    // Marks of the chat templates of models. Users have no reason to write them.
    private const string TemplatesList =
        "<|im_start|>;<|im_end|>;<|im_sep|>;<|system|>;<|user|>;<|assistant|>;<|start_header_id|>;<|end_header_id|>;<|eot_id|>;<|begin_of_text|>;" +
        "<|end_of_text|>;<|endoftext|>;<|endofprompt|>;<|start|>;<|channel|>;<|message|>;<|return|>;[INST];[/INST];<<SYS>>;<</SYS>>;" +
        "<start_of_turn>;<end_of_turn>;<|start_of_role|>;<|end_of_role|>;[SYSTEM_PROMPT];[/SYSTEM_PROMPT]";

    // Texts that pretend to end the data or to start new orders.
    private const string DelimitersList =
        "end of system prompt;end of prompt;end of instructions;end of user input;end of document;end of context;begin system prompt;" +
        "new system prompt;new instructions:;new instruction:;updated instructions:;real instructions:;actual instructions:;</system>;<system>;" +
        "</instructions>;<instructions>;</user_input>;</user_message>;</document>;</documents>;</context>;</tool_result>;</function_results>;```system;" +
        "[end of;[system](#;[system message];important new instructions;instructions override";

    // Starts of lines that pretend to be the turn of another role.
    private const string RoleLinesList =
        "system:;assistant:;developer:;[system]:;[assistant]:;(system):;system prompt:;system message:;human:;ai:;system override:;" +
        "[system];[assistant];[developer];instruction:;instructions to the ai";

    // Verbs that ask for a disclosure.
    private const string DisclosuresList =
        "reveal;show me;print;output;repeat;display;leak;disclose;tell me;write out;dump;give me;what is;what are;summarize;translate";

    // What must not be disclosed.
    private const string SecrecyList =
        "system prompt;your prompt;your instructions;initial instructions;hidden instructions;secret instructions;original instructions;" +
        "developer message;system message;hidden prompt;words above;text above;everything above;your guidelines;your rules";

    // Phrases that give the model another role or lift its limits.
    private const string PersonasList =
        "you are now;from now on you;pretend to be;pretend that you;pretend you are;act as if you;developer mode;do anything now;jailbreak;" +
        "no restrictions;without restrictions;without any restrictions;no longer bound;not bound by;unfiltered;uncensored;no ethical;" +
        "without ethical;god mode;admin mode;sudo mode;debug mode;you have no rules;stay in character;never refuse;do not refuse;" +
        "you must comply;opposite mode;evil twin;ab jetzt bist du;désormais tu es;a partir de ahora eres;d'ora in poi sei;从现在开始你;你现在是";

    // Orders to decode something.
    private const string DecodingList =
        "decode this;decode the following;base64 decode;decode base64;decode and follow;decode and execute;rot13;reverse the following;" +
        "decode it and;decoded instructions";

    /// <summary>Marks of the chat templates of models.</summary>
    public static readonly SearchValues<string> Templates = Values(TemplatesList, ';');

    /// <summary>Texts that pretend to end the data or to start new orders.</summary>
    public static readonly SearchValues<string> Delimiters = Values(DelimitersList, ';');

    /// <summary>Starts of lines that pretend to be the turn of another role.</summary>
    public static readonly SearchValues<string> RoleLines = Values(RoleLinesList, ';');

    /// <summary>Verbs that ask for a disclosure.</summary>
    public static readonly SearchValues<string> Disclosures = Values(DisclosuresList, ';');

    /// <summary>What must not be disclosed.</summary>
    public static readonly SearchValues<string> Secrecy = Values(SecrecyList, ';');

    /// <summary>Phrases that give the model another role or lift its limits.</summary>
    public static readonly SearchValues<string> Personas = Values(PersonasList, ';');

    /// <summary>Orders to decode something.</summary>
    public static readonly SearchValues<string> Decoding = Values(DecodingList, ';');

    // Every sign needs one of these. Texts without them, which are most, are read once.
    private static readonly string[] AllSigns =
    [
        .. Languages.SelectMany(language => language.Verbs), .. TemplatesList.Split(';'), .. DelimitersList.Split(';'), .. RoleLinesList.Split(';'),
        .. SecrecyList.Split(';'), .. PersonasList.Split(';'), .. DecodingList.Split(';'),
    ];

    // Searches for at most 80 values in ASCII use vectors, and several of them are faster than one for all.
    private static readonly SearchValues<string>[] AsciiSigns = [.. AllSigns.Where(IsAscii).Distinct().Chunk(80).Select(signs => Values(signs))];
    private static readonly SearchValues<string> OtherSigns = Values(AllSigns.Where(sign => !IsAscii(sign)));

    /// <summary>Verbs of all languages in ASCII.</summary>
    public static readonly SearchValues<string> AsciiVerbs = Values(Languages.SelectMany(language => language.Verbs).Where(IsAscii));

    /// <summary>All other verbs.</summary>
    public static readonly SearchValues<string> OtherVerbs = Values(Languages.SelectMany(language => language.Verbs).Where(verb => !IsAscii(verb)));

    /// <summary>Whether a text contains any word of these lists that can be a sign.</summary>
    public static bool HasSign(ReadOnlySpan<char> text)
    {
        foreach (var signs in AsciiSigns)
        {
            if (text.ContainsAny(signs)) return true;
        }
        return !Ascii.IsValid(text) && text.ContainsAny(OtherSigns);
    }

    private static Language Of(string verbs, string instructions, string earlier, string yours, bool hasSpaces = true) =>
        new(hasSpaces, verbs.Split('|'), Values(instructions, '|'), Values(earlier, '|'), Values(yours, '|'));

    private static SearchValues<string> Values(string list, char separator) => Values(list.Split(separator));

    private static SearchValues<string> Values(IEnumerable<string> values) =>
        SearchValues.Create([.. values.Distinct()], StringComparison.OrdinalIgnoreCase);

    private static bool IsAscii(string text) => Ascii.IsValid(text);
}
